import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { beforeEach, describe, it, type TestContext } from 'node:test';
import {
  checkPrivate,
  checkTrusted,
  findTrustedFile,
  findTrustedFolder,
  forgetFolders,
  readPrivateFile,
  readTrustedFile,
} from '../../src/alias/trusted-file.ts';
import { explainSystemError, statLink } from '../../src/alias/trusted-path.ts';
import { errnoOf } from '../../src/errors.ts';
import { requirePrograms } from '../helpers/requirements.ts';
import { makeTempDir } from '../helpers/temp-dir.ts';
import { expectFailure } from './check-failure.ts';
import { asOrdinaryUser, giveAway, needsRoot, OTHER_UID, UID } from './other-user.ts';

const OPTIONS = { uid: UID, maxBytes: 1_000 };

/** `DIR/folder/file` with modes that are in order. */
function makeFile(t: TestContext, text = 'content', mode = 0o644): string {
  const file = join(makeTempDir(t, 'trust'), 'folder', 'file');
  mkdirSync(dirname(file), { mode: 0o755 });
  writeFileSync(file, text);
  chmodSync(dirname(file), 0o755);
  chmodSync(file, mode);
  return file;
}

const read = (file: string, options = OPTIONS): string => readTrustedFile(file, options).toString();

beforeEach(forgetFolders);

describe('a trusted file', () => {
  it('is read whole', (t) => {
    assert.equal(read(makeFile(t)), 'content');
    assert.equal(read(makeFile(t, 'x'.repeat(1_000))), 'x'.repeat(1_000));
    assert.equal(read(makeFile(t, '')), '');
  });

  it('may lie in a sticky folder that all can write to, such as /tmp', (t) => {
    const file = makeFile(t);
    chmodSync(dirname(file), 0o1777);
    assert.equal(read(file), 'content');
  });

  it('may be named through links, `.` and `..`', (t) => {
    const file = makeFile(t);
    const dir = dirname(dirname(file));
    mkdirSync(join(dir, 'a', 'b'), { recursive: true, mode: 0o700 });
    symlinkSync('../../folder', join(dir, 'a', 'b', 'link'));
    symlinkSync(join(dir, 'a', 'b', 'link', 'file'), join(dir, 'again'));
    for (const path of [
      'again',
      'a/b/link/file',
      './/folder/./file',
      'a/../folder/file',
      'a/b/link/../folder/file',
    ]) {
      assert.equal(read(`${dir}/${path}`), 'content', path);
    }
    assert.equal(checkTrusted(join(dir, 'again'), UID), file);
  });

  it('may be one whose size the kernel does not tell', () => {
    const limits = readTrustedFile('/proc/self/limits', { uid: UID, maxBytes: 100_000 });
    assert.match(limits.toString(), /Max open files/);
  });

  for (const mode of [0o666, 0o664, 0o646, 0o622, 0o620, 0o602]) {
    it(`is refused with mode ${mode.toString(8)}`, (t) => {
      const file = makeFile(t, 'content', mode);
      expectFailure(() => read(file), {
        code: 'file-untrusted',
        message: `${file}: others can write to it`,
        hint: `run: chmod go-w ${file}`,
      });
      chmodSync(file, mode & ~0o022);
      if ((mode & 0o400) !== 0) assert.equal(read(file), 'content');
    });
  }

  for (const mode of [0o777, 0o775, 0o757, 0o722]) {
    it(`is refused in a folder of mode ${mode.toString(8)}, however far up`, (t) => {
      const file = makeFile(t);
      const up = dirname(dirname(file));
      chmodSync(up, mode);
      const expected = {
        code: 'file-untrusted',
        message: `${up}: others can write to it`,
        hint: `run: chmod go-w ${up}`,
      };
      expectFailure(() => read(file), expected);
      expectFailure(() => checkTrusted(file, UID), expected);
      expectFailure(() => findTrustedFolder(dirname(file), UID), expected);
      chmodSync(up, 0o700);
      forgetFolders();
      assert.equal(read(file), 'content');
    });
  }

  it('is named in the cure as a shell takes it', (t) => {
    const file = makeFile(t);
    const odd = join(dirname(file), "it's here");
    renameSync(file, odd);
    chmodSync(odd, 0o666);
    const { hint } = expectFailure(() => read(odd), { code: 'file-untrusted' });
    execFileSync('/bin/sh', ['-c', hint.replace('run: ', '')]);
    assert.equal(read(odd), 'content');
  });

  it('is refused when it belongs to another user', { skip: needsRoot }, (t) => {
    const file = makeFile(t);
    giveAway(file);
    expectFailure(() => read(file), {
      code: 'file-untrusted',
      message: `${file}: belongs to uid ${OTHER_UID}`,
      hint: `run: chown root ${file}`,
    });
    const options = { ...OPTIONS, uid: OTHER_UID };
    assert.equal(read(file, options), 'content', 'root is trusted on the way to our own file');
    expectFailure(() => read(file, { ...OPTIONS, uid: 12_345 }), {
      code: 'file-untrusted',
      hint: `run: chown 12345 ${file}`,
    });
  });

  it('is refused in a folder of another user, sticky or not', { skip: needsRoot }, (t) => {
    for (const mode of [0o755, 0o1777]) {
      const file = makeFile(t);
      chmodSync(dirname(file), mode);
      giveAway(dirname(file));
      expectFailure(() => read(file), {
        code: 'file-untrusted',
        message: `${dirname(file)}: belongs to uid ${OTHER_UID}`,
      });
    }
  });

  it('is refused behind a link of another user', { skip: needsRoot }, (t) => {
    const file = makeFile(t);
    const sticky = join(dirname(file), 'sticky');
    mkdirSync(sticky);
    chmodSync(sticky, 0o1777);
    for (const [link, target, path] of [
      ['to-file', file, 'to-file'],
      ['to-folder', dirname(file), 'to-folder/file'],
    ] as const) {
      symlinkSync(target, join(sticky, link));
      giveAway(join(sticky, link), true);
      const { hint } = expectFailure(() => read(join(sticky, path)), {
        code: 'file-untrusted',
        message: `${join(sticky, link)}: belongs to uid ${OTHER_UID}`,
      });
      execFileSync('/bin/sh', ['-c', hint.replace('run: ', '')]);
      forgetFolders();
      assert.equal(read(join(sticky, path)), 'content');
    }
  });

  it('is refused behind a link that stands in, or leads through, a folder others can write to', (t) => {
    const file = makeFile(t);
    const dir = dirname(dirname(file));
    mkdirSync(join(dir, 'open'));
    symlinkSync(file, join(dir, 'open', 'link'));
    symlinkSync(join(dir, 'open', 'link'), join(dir, 'safe'));
    chmodSync(join(dir, 'open'), 0o777);
    for (const path of [join(dir, 'open', 'link'), join(dir, 'safe')]) {
      expectFailure(() => read(path), {
        code: 'file-untrusted',
        message: `${join(dir, 'open')}: others can write to it`,
      });
    }
  });

  it('that does not exist is told apart from one that is there', (t) => {
    const file = makeFile(t);
    rmSync(file);
    for (const path of [
      file,
      join(file, 'below'),
      join(dirname(file), 'no', 'folder', 'file'),
      '/dev/null/x',
    ]) {
      assert.equal(findTrustedFile(path, OPTIONS), undefined, path);
      assert.throws(
        () => read(path),
        (error) => errnoOf(error) === 'ENOENT',
      );
    }
    writeFileSync(file, 'x');
    assert.equal(findTrustedFile(join(file, 'below'), OPTIONS), undefined);
  });

  it('that a link points to and that is not there is a failure', (t) => {
    const file = makeFile(t);
    const dir = dirname(dirname(file));
    symlinkSync('nowhere', join(dir, 'dangling'));
    for (const path of [join(dir, 'dangling'), join(dir, 'dangling', 'file')]) {
      expectFailure(() => findTrustedFile(path, OPTIONS), {
        code: 'file-unusable',
        message: `${join(dir, 'dangling')}: is a link to something that does not exist`,
      });
    }
    symlinkSync('circle', join(dir, 'circle'));
    expectFailure(() => read(join(dir, 'circle')), { code: 'file-unusable', message: /links in a circle/ });
  });

  it('is never a folder', (t) => {
    const folder = dirname(makeFile(t));
    const expected = { code: 'file-unusable', message: `${folder}: is not a regular file` };
    expectFailure(() => read(folder), { ...expected, hint: 'move it away' });
    expectFailure(() => readTrustedFile(folder, { ...OPTIONS, namedBy: 'KNOWN_HOSTS' }), {
      ...expected,
      hint: 'check KNOWN_HOSTS, or move it away',
    });
  });

  it('is never a FIFO, and nobody waits for its writer', { skip: requirePrograms('mkfifo') }, (t) => {
    const fifo = join(dirname(makeFile(t)), 'fifo');
    execFileSync('mkfifo', [fifo]);
    const start = performance.now();
    expectFailure(() => read(fifo), { code: 'file-unusable', message: /is not a regular file/ });
    assert.ok(performance.now() - start < 1_000);
  });

  it('is never a socket or a device', async (t) => {
    const socket = join(dirname(makeFile(t)), 'socket');
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(socket, resolve));
    t.after(() => server.close());
    for (const path of [socket, '/dev/null']) {
      expectFailure(() => read(path), { code: 'file-unusable', message: /is not a regular file/ });
    }
  });

  it('is refused when it is too large', (t) => {
    const file = makeFile(t, 'x'.repeat(1_001));
    expectFailure(() => read(file), { code: 'file-unusable', message: `${file}: is larger than 1000 bytes` });
    truncateSync(file, 1_000_000_000_000);
    expectFailure(() => read(file), { code: 'file-unusable' });
  });

  it('that may not be read says so', (t) => {
    const file = makeFile(t);
    chmodSync(dirname(dirname(file)), 0o755);
    const expectDenied = (path: string, hint: RegExp): void => {
      forgetFolders();
      asOrdinaryUser((uid) => {
        expectFailure(() => findTrustedFile(file, { uid, maxBytes: 1_000 }), {
          code: 'file-unreadable',
          message: `${path}: permission denied`,
          hint,
        });
      });
    };
    chmodSync(file, 0o000);
    const isOurs = UID !== 0;
    expectDenied(
      file,
      isOurs ? /^make it readable: chmod u\+r \// : /^make it readable: have root run: chmod a\+r \//,
    );
    chmodSync(file, 0o644);
    chmodSync(dirname(file), 0o600);
    expectDenied(
      dirname(file),
      isOurs ? /^make it readable: chmod u\+rx \// : /^make it readable: have root run: chmod a\+rx \//,
    );
    chmodSync(dirname(file), 0o700);
  });

  it('is looked for by an absolute path only', () => {
    assert.throws(() => read('relative/file'), TypeError);
  });
});

describe('a private file', () => {
  for (const mode of [0o644, 0o640, 0o604, 0o611]) {
    it(`is refused with mode ${mode.toString(8)}`, (t) => {
      const file = makeFile(t, 'key', mode);
      const expected = {
        code: 'file-untrusted',
        message: `${file}: others can read it`,
        hint: `run: chmod 600 ${file}`,
      };
      expectFailure(() => readPrivateFile(file, OPTIONS), expected);
      expectFailure(() => checkPrivate(file, UID), expected);
      chmodSync(file, 0o600);
      assert.equal(readPrivateFile(file, OPTIONS).toString(), 'key');
      assert.equal(checkPrivate(file, UID), file);
    });
  }

  it('need not be private when its content is no secret, but is never writable', (t) => {
    const isSecret = (bytes: Buffer): boolean => bytes.toString() !== 'public';
    const file = makeFile(t, 'public', 0o644);
    assert.equal(readPrivateFile(file, { ...OPTIONS, isSecret }).toString(), 'public');
    chmodSync(file, 0o664);
    expectFailure(() => readPrivateFile(file, { ...OPTIONS, isSecret }), { code: 'file-untrusted' });
    const secret = makeFile(t, 'secret', 0o644);
    expectFailure(() => readPrivateFile(secret, { ...OPTIONS, isSecret }), { code: 'file-untrusted' });
  });

  it('that does not exist is told apart', (t) => {
    const file = join(dirname(makeFile(t)), 'missing');
    assert.throws(
      () => readPrivateFile(file, OPTIONS),
      (error) => errnoOf(error) === 'ENOENT',
    );
    assert.throws(
      () => checkPrivate(file, UID),
      (error) => errnoOf(error) === 'ENOENT',
    );
  });
});

describe('a private file of root', { skip: needsRoot }, () => {
  for (const mode of [0o600, 0o644]) {
    it(`is not to be opened for everybody: mode ${mode.toString(8)}`, (t) => {
      const file = makeFile(t, 'key', mode);
      chmodSync(dirname(file), 0o755);
      chmodSync(dirname(dirname(file)), 0o755);
      asOrdinaryUser((uid) => {
        expectFailure(() => readPrivateFile(file, { ...OPTIONS, uid }), {
          code: 'file-unusable',
          hint: 'choose a file of your own, with mode 600',
        });
      });
    });
  }
});

describe('a folder', () => {
  it('is private with mode 700 only', (t) => {
    const folder = dirname(makeFile(t));
    for (const mode of [0o755, 0o710, 0o777]) {
      chmodSync(folder, mode);
      expectFailure(() => checkPrivate(folder, UID), {
        code: 'file-untrusted',
        hint: `run: chmod 700 ${folder}`,
      });
    }
    chmodSync(folder, 0o700);
    assert.equal(checkPrivate(folder, UID), folder);
  });

  it('that everybody uses is never to be closed', () => {
    const hint = 'choose a folder of your own, with mode 700';
    expectFailure(() => checkPrivate('/tmp', UID), { code: 'file-unusable', message: /others can/, hint });
    asOrdinaryUser((uid) => {
      expectFailure(() => checkPrivate('/usr', uid), { code: 'file-unusable', message: /others can/, hint });
    });
  });

  it('of another user is not private for us', { skip: needsRoot }, (t) => {
    const folder = dirname(makeFile(t));
    chmodSync(folder, 0o700);
    giveAway(folder);
    expectFailure(() => checkPrivate(folder, UID), { code: 'file-untrusted', message: /belongs to uid/ });
    assert.equal(checkPrivate(folder, OTHER_UID), folder);
  });

  it('is missing only when nothing has its name', (t) => {
    const file = makeFile(t);
    assert.equal(findTrustedFolder(join(dirname(file), 'no'), UID), undefined);
    assert.equal(findTrustedFolder(join(file, 'no'), UID), undefined);
    assert.equal(findTrustedFolder(dirname(file), UID), realpathSync(dirname(file)));
    expectFailure(() => findTrustedFolder(file, UID), {
      code: 'file-unusable',
      message: `${file}: is not a folder`,
    });
  });

  it('may be missing in a home that is not ours', { skip: needsRoot }, (t) => {
    const home = dirname(makeFile(t));
    giveAway(home);
    assert.equal(findTrustedFolder(join(home, '.config', 'pine-rsh'), UID), undefined);
    mkdirSync(join(home, '.config', 'pine-rsh'), { recursive: true });
    forgetFolders();
    expectFailure(() => findTrustedFolder(join(home, '.config', 'pine-rsh'), UID), {
      code: 'file-untrusted',
    });
  });
});

describe('what the system says about a file', () => {
  const explain = (code: string) =>
    explainSystemError(Object.assign(new Error(code), { code }), "/a b/it's", 'u+r');

  it('is a reason and what to do', () => {
    for (const code of ['EACCES', 'EPERM']) {
      const { message, hint } = explain(code);
      assert.match(message, /permission denied/);
      assert.match(hint, /chmod u\+r '\/a b\/it'\\''s'$/);
    }
    assert.match(explain('EIO').message, /cannot be read \(EIO\)/);
    assert.equal(explain('EMFILE').code, 'out-of-resources');
    assert.equal(explainSystemError(new TypeError('a bug'), '/f', 'u+r').code, 'internal');
  });

  it('is nothing where a folder is a file, and a reason where a folder keeps us out', (t) => {
    const dir = makeTempDir(t, 'trusted');
    writeFileSync(join(dir, 'file'), '');
    assert.equal(statLink(join(dir, 'file', 'below')), undefined);
    assert.equal(statLink(join(dir, 'none')), undefined);
    const closed = join(dir, 'closed');
    mkdirSync(closed, { mode: 0o000 });
    chmodSync(dir, 0o755);
    expectFailure(() => asOrdinaryUser(() => statLink(join(closed, 'below'))), {
      code: 'file-unreadable',
      hint: /chmod [ua]\+rx .*closed$/,
    });
  });
});
