/** Replacing a host's keys in a known_hosts file: nothing else in it changes, and the file is whole at any time. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { Failure } from '../../src/errors.ts';
import { nameHost } from '../../src/transport/known-hosts.ts';
import { dropHostKeys, replaceHostKeys } from '../../src/transport/known-hosts-editor.ts';
import { parseKnownHosts } from '../../src/transport/known-hosts-file.ts';
import { requirePrograms } from '../helpers/requirements.ts';
import type { Scope } from '../helpers/scope.ts';
import { makeTempDir } from '../helpers/temp-dir.ts';
import { fakeKey, hashedName, keyWords } from './host-key-material.ts';

const HOST = 'mail.example.org';
const NAMES = nameHost(HOST, 22);
const UID = process.getuid?.() ?? 0;
const OLD = fakeKey('ssh-ed25519', 'old');
const OLD_RSA = fakeKey('ssh-rsa', 'old');
const NEW = fakeKey('ssh-ed25519', 'new');
const OTHER = fakeKey('ssh-ed25519', 'other');
const [O, R, N, X] = [OLD, OLD_RSA, NEW, OTHER].map(keyWords);

function drop(text: string, stale = [OLD, OLD_RSA], name = HOST): string {
  return dropHostKeys(parseKnownHosts(text, '/kh'), name, stale);
}

function openFile(scope: Scope, text: string): string {
  const file = join(makeTempDir(scope, 'known-hosts'), 'known_hosts');
  writeFileSync(file, text, { mode: 0o600 });
  return file;
}

describe('taking keys out of a known_hosts file', () => {
  for (const [title, before, after] of [
    ['takes every line of the host', `${HOST} ${O}\n${HOST} ${R}\n`, ''],
    ['knows it in any case', `MAIL.Example.ORG ${O}\n`, ''],
    ['knows a hashed name', `${hashedName(HOST)} ${O}\n`, ''],
    ['leaves other hosts, comments and blank lines', `# ${HOST} ${O}\n\nother ${O}\n`, undefined],
    ['leaves keys that it was not asked to take', `${HOST} ${X}\n`, undefined],
    ['leaves revoked keys', `@revoked ${HOST} ${O}\n`, undefined],
    ['leaves authorities', `@cert-authority ${HOST} ${O}\n`, undefined],
    ['leaves lines that are no entries', `${HOST} garbage\n${HOST}\n`, undefined],
    ['leaves the line to its other hosts', `mail,${HOST},192.0.2.1 ${O} c\n`, `mail,192.0.2.1 ${O} c\n`],
    [
      'takes the host out of a pattern',
      `*.example.org,!www.example.org ${O}\n`,
      `*.example.org,!www.example.org,!${HOST} ${O}\n`,
    ],
    ['takes it out of both', `${HOST},*.example.org ${O}\n`, `*.example.org,!${HOST} ${O}\n`],
    ['takes a line that is about nobody any more', `${HOST},!www.example.org ${O}\n`, ''],
    ['keeps what stands around', `a ${X}\r\n \t${HOST}\t${O}\r\nb ${X}`, `a ${X}\r\nb ${X}`],
    ['needs no last newline', `a ${X}\n${HOST} ${O}`, `a ${X}\n`],
    ['keeps indentation', `\t${HOST},b ${O}\n`, `\tb ${O}\n`],
    ['leaves the other ports of the host', `[${HOST}]:2222 ${O}\n`, undefined],
  ] as const) {
    it(title, () => assert.equal(drop(before), after ?? before));
  }

  it('takes the lines of one port only', () => {
    const before = `${HOST} ${O}\n[${HOST}]:2222 ${O}\n`;
    assert.equal(drop(before, [OLD], `[${HOST}]:2222`), `${HOST} ${O}\n`);
  });
});

describe('replacing keys in a known_hosts file', () => {
  it('puts the new keys in, and keeps the file as it was', (t) => {
    const before = `a ${X}\n${HOST} ${O}\nb ${X}\n`;
    const file = openFile(t, before);
    writeFileSync(`${file}.old`, 'an older one');
    replaceHostKeys(file, NAMES, { stale: [OLD], fresh: [NEW] }, UID);
    assert.equal(readFileSync(file, 'utf8'), `a ${X}\nb ${X}\n${HOST} ${N}\n`);
    assert.equal(readFileSync(`${file}.old`, 'utf8'), before);
    assert.deepEqual(readdirSync(join(file, '..')).sort(), ['known_hosts', 'known_hosts.old']);
  });

  it('does not put in a key that is there already', (t) => {
    const file = openFile(t, `${HOST} ${N}\n${HOST} ${O}\n`);
    replaceHostKeys(file, NAMES, { stale: [OLD], fresh: [NEW] }, UID);
    assert.equal(readFileSync(file, 'utf8'), `${HOST} ${N}\n`);
  });

  it('hides the name if others are hidden', (t) => {
    const file = openFile(t, `${hashedName('a')} ${X}\n${hashedName(HOST)} ${O}\n`);
    replaceHostKeys(file, NAMES, { stale: [OLD], fresh: [NEW] }, UID);
    const text = readFileSync(file, 'utf8');
    assert.ok(!text.includes(HOST));
    assert.match(text, /^\|1\|.*\n\|1\|.*\n$/);
  });

  it('adds to a last line without newline', (t) => {
    const file = openFile(t, `${HOST} ${O}\na ${X}`);
    replaceHostKeys(file, NAMES, { stale: [OLD], fresh: [NEW] }, UID);
    assert.equal(readFileSync(file, 'utf8'), `a ${X}\n${HOST} ${N}\n`);
  });

  it('keeps bytes that are no UTF-8', (t) => {
    const file = openFile(t, '');
    const noise = Buffer.from([0x23, 0xff, 0xfe, 0xc3, 0x0a]);
    writeFileSync(file, Buffer.concat([noise, Buffer.from(`${HOST} ${O}\n`)]));
    replaceHostKeys(file, NAMES, { stale: [OLD], fresh: [NEW] }, UID);
    assert.deepEqual(readFileSync(file), Buffer.concat([noise, Buffer.from(`${HOST} ${N}\n`)]));
  });

  for (const mode of [0o600, 0o644, 0o400]) {
    it(`keeps the mode ${mode.toString(8)}`, (t) => {
      const file = openFile(t, `${HOST} ${O}\n`);
      chmodSync(file, mode);
      replaceHostKeys(file, NAMES, { stale: [OLD], fresh: [NEW] }, UID);
      assert.equal(statSync(file).mode & 0o7777, mode);
      assert.equal(statSync(`${file}.old`).mode & 0o7777, mode);
    });
  }

  it('keeps the owner', { skip: UID !== 0 && 'only root can give files away' }, (t) => {
    const file = openFile(t, `${HOST} ${O}\n`);
    chownSync(file, 0, 12_345);
    replaceHostKeys(file, NAMES, { stale: [OLD], fresh: [NEW] }, UID);
    assert.deepEqual([statSync(file).uid, statSync(file).gid], [0, 12_345]);
  });

  it('follows a link and leaves it a link', (t) => {
    const file = openFile(t, `${HOST} ${O}\n`);
    const folder = join(file, '..', 'ssh');
    mkdirSync(folder, { mode: 0o700 });
    const link = join(folder, 'known_hosts');
    symlinkSync('../known_hosts', link);
    replaceHostKeys(link, NAMES, { stale: [OLD], fresh: [NEW] }, UID);
    assert.equal(readlinkSync(link), '../known_hosts');
    assert.equal(readFileSync(file, 'utf8'), `${HOST} ${N}\n`);
  });

  it('refuses a folder that others can write to, and leaves the file alone', (t) => {
    const file = openFile(t, `${HOST} ${O}\n`);
    chmodSync(join(file, '..'), 0o777);
    const replace = () => replaceHostKeys(file, NAMES, { stale: [OLD], fresh: [NEW] }, UID);
    assert.throws(replace, (thrown) => thrown instanceof Failure && thrown.code === 'file-untrusted');
    assert.equal(readFileSync(file, 'utf8'), `${HOST} ${O}\n`);
  });

  it('says that a file cannot be written', (t) => {
    const file = join(makeTempDir(t, 'known-hosts'), 'missing');
    const replace = () => replaceHostKeys(file, NAMES, { stale: [], fresh: [NEW] }, UID);
    assert.throws(replace, (thrown) => thrown instanceof Failure && thrown.code === 'file-unusable');
  });

  it('writes what ssh-keygen -F finds', { skip: requirePrograms('ssh-keygen') }, (t) => {
    const file = openFile(t, `mail,${HOST} ${O}\n*.org,a ${O}\n${hashedName(HOST)} ${O}\n`);
    const find = (name: string) =>
      spawnSync('ssh-keygen', ['-F', name, '-f', file], { encoding: 'utf8' })
        .stdout.split('\n')
        .filter((line) => line !== '' && !line.startsWith('#'))
        .map((line) => line.split(' ').slice(1).join(' '));
    assert.deepEqual(find(HOST), [O, O, O]);
    replaceHostKeys(file, NAMES, { stale: [OLD], fresh: [NEW] }, UID);
    assert.deepEqual(find(HOST), [N]);
    assert.deepEqual(find('mail'), [O]);
    assert.deepEqual(find('www.example.org'), [O]);
  });
});
