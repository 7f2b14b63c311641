import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { optionalPrograms, programPath } from '../helpers/requirements.ts';
import { makeTempDir } from '../helpers/temp-dir.ts';
import { expectFailure } from './check-failure.ts';
import { asOrdinaryUser, giveAway, needsRoot, OTHER_UID } from './other-user.ts';
import { openTempConfig } from './temp-config.ts';

const BROKEN = 'this is no line of an alias file\n';

describe('looking up an alias', () => {
  it('finds the file with the name of the host', (t) => {
    const config = openTempConfig(t);
    const file = config.alias('work', 'HOSTNAME=mail.example.org\n');
    const alias = config.find('work');
    assert.equal(alias.name, 'work');
    assert.equal(alias.hostname, 'mail.example.org');
    assert.deepEqual(alias.files, [file]);
    assert.ok(Object.isFrozen(alias));
  });

  it('finds it in any case', (t) => {
    const config = openTempConfig(t);
    config.alias('work', 'PORT=1\n');
    config.alias('Home', 'PORT=2\n');
    for (const host of ['work', 'Work', 'WORK']) assert.equal(config.find(host).port, 1);
    for (const host of ['home', 'Home', 'HOME']) assert.equal(config.find(host).port, 2);
  });

  it('takes the name in lower case first, and no choice between others', (t) => {
    const config = openTempConfig(t);
    const first = config.alias('WORK', 'PORT=1\n');
    const second = config.alias('Work', 'PORT=2\n');
    expectFailure(() => config.lookup('work'), {
      code: 'alias-ambiguous',
      message: `work is an alias in both ${first} and ${second}`,
    });
    config.alias('work', 'PORT=3\n');
    assert.equal(config.find('Work').port, 3);
  });

  it('prefers the file for the user that was asked for', (t) => {
    const config = openTempConfig(t);
    config.alias('work', 'PORT=1\n');
    config.alias('pat@work', 'PORT=2\n');
    config.alias('me@work', 'PORT=3\n');
    assert.equal(config.find('work').port, 1);
    assert.equal(config.find('work', { user: 'lee' }).port, 1);
    assert.equal(config.find('Work', { user: 'pat' }).port, 2);
    assert.equal(
      config.find('work', { user: 'me' }).port,
      3,
      'the local login name, as Pine passes it, counts here',
    );
    assert.equal(config.find('work', { user: 'Pat' }).port, 1, 'users are not hosts: case counts');
    const alias = config.find('work', { user: 'pat' });
    assert.deepEqual([alias.name, alias.hostname, alias.user], ['pat@work', 'work', 'pat']);
  });

  it('prefers the file for that user in any case of its name, too', (t) => {
    const config = openTempConfig(t);
    config.alias('Work', 'PORT=1\n');
    config.alias('pat@WORK', 'PORT=2\n');
    assert.equal(config.find('work').port, 1);
    assert.equal(config.find('work', { user: 'pat' }).port, 2);
  });

  it('passes by a file for that user in another case where the host has a file in lower case', (t) => {
    const config = openTempConfig(t);
    config.alias('work', 'PORT=1\n');
    config.alias('pat@Work', 'PORT=2\n');
    assert.equal(config.find('work', { user: 'pat' }).port, 1);
  });

  it('has no alias for other users in a file for one', (t) => {
    const config = openTempConfig(t);
    config.alias('pat@work', 'ALIASES=mail.example.org\n');
    for (const host of ['work', 'mail.example.org']) {
      assert.equal(config.lookup(host).kind, 'unmanaged');
      assert.equal(config.lookup(host, { user: 'lee' }).kind, 'unmanaged');
      assert.equal(config.find(host, { user: 'pat' }).name, 'pat@work');
    }
  });

  it('takes names with % and : in them', (t) => {
    const config = openTempConfig(t);
    for (const host of ['fe80::1%eth0', '2001:db8::1', 'a+b_c', '::1']) {
      config.alias(host, 'PORT=7\n');
      assert.deepEqual([config.find(host).port, config.find(host).hostname], [7, host]);
    }
  });

  it('refuses names that are no file names, should argv let them pass', (t) => {
    const config = openTempConfig(t);
    config.alias('x', '');
    for (const host of ['', '..', '../hosts/x', '.x', '-x', 'a/b', 'a@b', 'a\0b', 'x'.repeat(300)]) {
      expectFailure(() => config.lookup(host), { code: 'host-name-refused' });
    }
    for (const user of ['', '../x', 'a/b', 'a@b', '-x']) {
      expectFailure(() => config.lookup('x', { user }), { code: 'user-name-refused' });
    }
  });

  it('follows links to alias files', (t) => {
    const config = openTempConfig(t);
    const file = config.alias('work', 'PORT=7\n');
    config.link('office', file);
    assert.equal(config.find('office').port, 7);
    assert.equal(config.find('office').hostname, 'office');
  });
});

describe('looking up by ALIASES', () => {
  it('finds exact names before globs', (t) => {
    const config = openTempConfig(t);
    config.alias('any', 'ALIASES=*.example.org\nHOSTNAME=%h\nPORT=1\n');
    config.alias('work', 'ALIASES=other,Mail.Example.Org\nPORT=2\n');
    assert.equal(config.find('mail.example.org').name, 'work');
    assert.equal(config.find('MAIL.example.org').hostname, 'work', 'the name of the alias');
    assert.equal(config.find('news.example.org').name, 'any');
  });

  it('finds exact names before globs, whichever file comes first', (t) => {
    const config = openTempConfig(t);
    config.alias('a', 'ALIASES=mail.example.org\nPORT=1\n');
    config.alias('b', 'ALIASES=*.example.org\nPORT=2\n');
    config.alias('c', 'ALIASES=*\nPORT=3\n');
    assert.equal(config.find('mail.example.org').port, 1);
  });

  it('connects to the host as given after a glob match', (t) => {
    const config = openTempConfig(t);
    config.alias('cluster', 'ALIASES=node?,*.cluster\n');
    assert.equal(config.find('Node7').hostname, 'Node7');
    assert.equal(config.find('a.cluster').hostname, 'a.cluster');
    assert.equal(config.find('cluster').hostname, 'cluster');
    assert.equal(config.lookup('node77').kind, 'unmanaged');
  });

  it('leaves out what ! takes out', (t) => {
    const config = openTempConfig(t);
    config.alias('all', 'ALIASES=*.example.org,!old.*\n');
    assert.equal(config.find('new.example.org').name, 'all');
    assert.equal(config.lookup('old.example.org').kind, 'unmanaged');
  });

  it('prefers a file of that name to any ALIASES', (t) => {
    const config = openTempConfig(t);
    config.alias('work', 'PORT=1\n');
    config.alias('other', 'ALIASES=work\nPORT=2\n');
    assert.equal(config.find('work').port, 1);
    rmSync(config.alias('work', ''));
    config.alias('Work', 'PORT=3\n');
    assert.equal(config.find('work').port, 3, 'in any case');
  });

  it('prefers the file for the user that was asked for', (t) => {
    const config = openTempConfig(t);
    config.alias('a', 'ALIASES=mail\n');
    config.alias('pat@b', 'ALIASES=mail\n');
    assert.equal(config.find('mail').name, 'a');
    assert.equal(config.find('mail', { user: 'pat' }).name, 'pat@b');
  });

  it('takes no choice between two files that match equally', (t) => {
    const config = openTempConfig(t);
    const files = [
      config.alias('a', 'ALIASES=mail,*.org\n'),
      config.alias('b', 'ALIASES=*.example.org,mail\n'),
    ];
    for (const host of ['mail', 'mail.example.org']) {
      expectFailure(() => config.lookup(host), {
        code: 'alias-ambiguous',
        message: `${host} is an alias in both ${files[0]} and ${files[1]}`,
        hint: /ALIASES/,
      });
    }
    assert.equal(config.find('x.org').name, 'a');
  });

  it('ignores files that are no alias files', (t) => {
    const config = openTempConfig(t);
    config.alias('work', 'ALIASES=mail\n');
    for (const name of ['work.env~', '.work.env.swp', '.env', 'README', 'work.env.bak', '#work.env#']) {
      writeFileSync(join(config.user, 'hosts', name), BROKEN);
    }
    assert.equal(config.find('mail').name, 'work');
    assert.equal(config.lookup('nothing').kind, 'unmanaged');
  });
});

describe("the user's folder and the system's", () => {
  it('are both searched, the user first', (t) => {
    const config = openTempConfig(t);
    config.systemAlias('work', 'PORT=1\n');
    config.systemAlias('home', 'PORT=2\n');
    config.systemAlias('pat@mail', 'PORT=3\n');
    config.alias('work', 'PORT=4\n');
    config.alias('mail', 'PORT=5\n');
    assert.equal(config.find('work').port, 4);
    assert.equal(config.find('home').port, 2);
    assert.equal(config.find('mail', { user: 'pat' }).port, 5, 'whatever the user has comes first');
  });

  it('are searched one after the other: a glob of the user shadows a file of the system', (t) => {
    const config = openTempConfig(t);
    config.systemAlias('work', 'PORT=1\n');
    config.alias('all', 'ALIASES=*\nPORT=2\n');
    assert.equal(config.find('work').port, 2);
  });

  it('need not exist', (t) => {
    const config = openTempConfig(t);
    assert.deepEqual(config.lookup('Work'), {
      kind: 'unmanaged',
      deny: false,
      file: join(config.user, 'hosts', 'work.env'),
    });
    config.systemAlias('work', 'PORT=1\n');
    assert.equal(config.find('work').port, 1);
  });

  it('need not hold aliases', (t) => {
    const config = openTempConfig(t);
    mkdirSync(config.user, { recursive: true, mode: 0o755 });
    mkdirSync(join(config.system, 'hosts'), { recursive: true, mode: 0o755 });
    assert.equal(config.lookup('work').kind, 'unmanaged');
  });
});

describe('UNMANAGED', () => {
  const deny = (lookup: ReturnType<ReturnType<typeof openTempConfig>['lookup']>): boolean | undefined =>
    lookup.kind === 'unmanaged' ? lookup.deny : undefined;

  it('decides about hosts that no file names', (t) => {
    const config = openTempConfig(t);
    config.alias('work', '');
    config.defaults('UNMANAGED=deny\n');
    assert.equal(deny(config.lookup('other')), true);
    assert.equal(config.lookup('work').kind, 'managed');
    config.defaults('UNMANAGED=allow\n');
    assert.equal(deny(config.lookup('other')), false);
  });

  it('may be set for the whole system, and taken back by the user', (t) => {
    const config = openTempConfig(t);
    config.systemDefaults('UNMANAGED=deny\n');
    assert.equal(deny(config.lookup('other')), true);
    config.defaults('PORT=1\n');
    assert.equal(deny(config.lookup('other')), true);
    config.defaults('UNMANAGED=allow\n');
    assert.equal(deny(config.lookup('other')), false);
  });
});

describe('a host is managed and failing, never unmanaged,', () => {
  it('when its file is broken', (t) => {
    const config = openTempConfig(t);
    const file = config.alias('work', BROKEN);
    expectFailure(() => config.lookup('work'), { code: 'alias-syntax', message: new RegExp(`^${file}:1: `) });
    config.alias('pat@home', BROKEN);
    config.alias('home', '');
    expectFailure(() => config.lookup('home', { user: 'pat' }), { code: 'alias-syntax' });
    assert.equal(config.find('home').name, 'home');
  });

  it('when its file can be written by others', (t) => {
    const config = openTempConfig(t);
    const file = config.alias('work', '');
    chmodSync(file, 0o664);
    expectFailure(() => config.lookup('work'), {
      code: 'file-untrusted',
      message: `${file}: others can write to it`,
      hint: `run: chmod go-w ${file}`,
    });
  });

  it('when a folder can be written by others, wherever the file is', (t) => {
    const config = openTempConfig(t);
    config.alias('work', '');
    for (const folder of [join(config.user, 'hosts'), config.user, dirname(config.user)]) {
      chmodSync(folder, 0o775);
      for (const host of ['work', 'other']) {
        expectFailure(() => config.lookup(host), {
          code: 'file-untrusted',
          message: `${folder}: others can write to it`,
          hint: `run: chmod go-w ${folder}`,
        });
      }
      chmodSync(folder, 0o755);
    }
    assert.equal(config.find('work').name, 'work');
  });

  it('when its file belongs to another user', { skip: needsRoot }, (t) => {
    const config = openTempConfig(t);
    const file = config.alias('work', '');
    giveAway(file);
    expectFailure(() => config.lookup('work'), {
      code: 'file-untrusted',
      message: `${file}: belongs to uid ${OTHER_UID}`,
    });
    expectFailure(() => config.lookup('other'), { code: 'file-untrusted' });
  });

  it('when its file, or the folder, may not be read', (t) => {
    const config = openTempConfig(t);
    const file = config.alias('work', '');
    const hosts = dirname(file);
    for (let up = hosts; up !== dirname(config.settings.home); up = dirname(up)) chmodSync(up, 0o755);
    chmodSync(dirname(config.settings.home), 0o755);
    const lookupAsUser = (host: string): unknown =>
      asOrdinaryUser((uid) => openedAs(uid, () => config.lookup(host)));
    const openedAs = <T>(uid: number, act: () => T): T => {
      Object.assign(config.settings, { uid });
      return act();
    };
    assert.equal((lookupAsUser('work') as { kind: string }).kind, 'managed');
    chmodSync(file, 0o200);
    expectFailure(() => lookupAsUser('work'), {
      code: 'file-unreadable',
      message: `${file}: permission denied`,
    });
    expectFailure(() => lookupAsUser('other'), {
      code: 'file-unreadable',
      message: `${file}: permission denied`,
    });
    chmodSync(file, 0o644);
    chmodSync(hosts, 0o311);
    assert.equal((lookupAsUser('work') as { kind: string }).kind, 'managed', 'its file needs no search');
    expectFailure(() => lookupAsUser('other'), {
      code: 'file-unreadable',
      message: `${hosts}: permission denied`,
    });
    chmodSync(hosts, 0o600);
    expectFailure(() => lookupAsUser('work'), {
      code: 'file-unreadable',
      message: `${hosts}: permission denied`,
    });
    chmodSync(hosts, 0o755);
    chmodSync(config.user, 0o000);
    expectFailure(() => lookupAsUser('work'), {
      code: 'file-unreadable',
      message: `${config.user}: permission denied`,
    });
    chmodSync(config.user, 0o755);
  });

  it('when its file is a link to nothing, or a folder', (t) => {
    const config = openTempConfig(t);
    const link = config.link('work', '/nonexistent/work.env');
    expectFailure(() => config.lookup('work'), {
      code: 'file-unusable',
      message: new RegExp(`^${link}: is a link`),
    });
    expectFailure(() => config.lookup('other'), { code: 'file-unusable' });
    mkdirSync(join(config.user, 'hosts', 'dir.env'));
    expectFailure(() => config.lookup('dir'), { code: 'file-unusable', message: /is not a regular file/ });
  });

  it('when a folder is a link to nothing, or a file', (t) => {
    const config = openTempConfig(t);
    mkdirSync(config.user, { recursive: true, mode: 0o755 });
    const hosts = join(config.user, 'hosts');
    symlinkSync('/nonexistent/hosts', hosts);
    expectFailure(() => config.lookup('work'), {
      code: 'file-unusable',
      message: new RegExp(`^${hosts}: is a link`),
    });
    rmSync(hosts);
    writeFileSync(hosts, '');
    expectFailure(() => config.lookup('work'), {
      code: 'file-unusable',
      message: `${hosts}: is not a folder`,
    });
    rmSync(config.user, { recursive: true });
    symlinkSync('/nonexistent', config.user);
    expectFailure(() => config.lookup('work'), { code: 'file-unusable' });
    rmSync(config.user);
    writeFileSync(config.user, '');
    expectFailure(() => config.lookup('work'), { code: 'file-unusable', message: /is not a folder/ });
  });

  it('when another file is broken whose ALIASES could name it', (t) => {
    const config = openTempConfig(t);
    config.alias('work', '');
    config.alias('glob', 'ALIASES=*.example.org,mail\n');
    const other = config.alias('other', BROKEN);
    for (const text of [BROKEN, 'ALIASE=typo\n', 'PORT=bad\n', 'ALIASES=a b\n']) {
      config.alias('other', text);
      expectFailure(() => config.lookup('unknown'), {
        code: 'alias-syntax',
        message: new RegExp(`^${other}:1: `),
      });
      expectFailure(() => config.lookup('x.example.org'), { code: 'alias-syntax' });
      assert.equal(config.find('work').name, 'work', 'its own file is enough');
      assert.equal(config.find('mail').name, 'glob', 'so is its exact name');
    }
    chmodSync(config.alias('other', ''), 0o666);
    expectFailure(() => config.lookup('unknown'), { code: 'file-untrusted' });
  });

  it('when a file for the user that was asked for is broken, whose ALIASES could name it better', (t) => {
    const config = openTempConfig(t);
    config.alias('a', 'ALIASES=mail,*.example.org\n');
    config.alias('zz', BROKEN);
    const own = config.alias('pat@zz', BROKEN);
    for (const host of ['mail', 'x.example.org', 'unknown']) {
      expectFailure(() => config.lookup(host, { user: 'pat' }), {
        code: 'alias-syntax',
        message: new RegExp(`^${own}:1: `),
      });
    }
    assert.equal(config.find('mail', { user: 'lee' }).name, 'a', 'it is for nobody else');
    config.alias('pat@b', 'ALIASES=mail\n');
    assert.equal(config.find('mail', { user: 'pat' }).name, 'pat@b', 'nothing names it better');
  });

  it('when a file of the user is broken that could shadow the system', (t) => {
    const config = openTempConfig(t);
    config.alias('other', BROKEN);
    config.systemAlias('work', '');
    expectFailure(() => config.lookup('work'), { code: 'alias-syntax' });
  });

  it('when defaults.env is broken', (t) => {
    const config = openTempConfig(t);
    config.alias('work', '');
    const files = [() => config.defaults(BROKEN), () => config.systemDefaults(BROKEN)];
    for (const write of files) {
      const file = write();
      for (const host of ['work', 'other']) {
        expectFailure(() => config.lookup(host), {
          code: 'alias-syntax',
          message: new RegExp(`^${file}:1: `),
        });
      }
      rmSync(file);
      symlinkSync('/nonexistent', file);
      expectFailure(() => config.lookup('other'), { code: 'file-unusable' });
      rmSync(file);
    }
    assert.equal(config.lookup('other').kind, 'unmanaged');
  });

  it('when a file name cannot be decoded', { skip: process.platform !== 'linux' }, (t) => {
    const config = openTempConfig(t);
    config.alias('work', '');
    writeFileSync(Buffer.from(`${join(config.user, 'hosts')}/m\xf6we.env`, 'latin1'), 'ALIASES=mail\n');
    expectFailure(() => config.lookup('mail'), { code: 'file-unusable', message: /not UTF-8/ });
    assert.equal(config.find('work').name, 'work');
  });
});

describe('the way of a mail folder', () => {
  const PROBE = fileURLToPath(new URL('lookup-probe.ts', import.meta.url));

  it('reads the alias and the defaults, and nothing else', { skip: optionalPrograms('strace') }, (t) => {
    const config = openTempConfig(t);
    config.alias('work', 'PORT=7\n');
    config.alias('other', 'PORT=8\n');
    config.defaults('');
    const trace = join(makeTempDir(t, 'trace'), 'trace');
    const words = [
      '-f',
      '-o',
      trace,
      '-e',
      'trace=open,openat,getdents64',
      process.execPath,
      '--import',
      'tsx',
    ];
    const run = spawnSync(programPath('strace'), [...words, PROBE, config.user, config.system, 'work'], {
      encoding: 'utf8',
    });
    assert.equal(run.stdout, 'managed 7\n', run.stderr);
    const opened = [...readFileSync(trace, 'utf8').matchAll(/open(?:at)?\((?:AT_FDCWD, )?"([^"]+)"/g)]
      .map(([, path]) => path as string)
      .filter((path) => path.startsWith(dirname(config.settings.home)));
    assert.deepEqual(opened, [join(config.user, 'defaults.env'), join(config.user, 'hosts', 'work.env')]);
  });

  it('does not look at other files, broken as they may be', (t) => {
    const config = openTempConfig(t);
    for (let i = 0; i < 20; i += 1) config.alias(`broken${i}`, BROKEN);
    config.alias('work', '');
    assert.equal(config.find('work').name, 'work');
  });

  it('stays short with 1,000 aliases, and bearable without a match', (t) => {
    const config = openTempConfig(t);
    for (let i = 0; i < 1_000; i += 1)
      config.alias(`host${i}`, `HOSTNAME=h${i}\nUSER=pat\nALIASES=mail${i},*.m${i}\n`);
    const time = (host: string, name: string | undefined): number => {
      const start = performance.now();
      const found = config.lookup(host);
      assert.equal(found.kind === 'managed' ? found.alias.name : undefined, name);
      return performance.now() - start;
    };
    const exact = Math.min(time('host500', 'host500'), time('host501', 'host501'));
    const search = Math.min(time('mail7', 'host7'), time('x.m999', 'host999'), time('none', undefined));
    t.diagnostic(`exact ${exact.toFixed(2)} ms, search ${search.toFixed(1)} ms`);
    assert.ok(exact < 20 && search < 2_000, `exact ${exact} ms, search ${search} ms`);
  });
});
