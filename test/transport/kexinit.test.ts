/** What a server says before anything is agreed: its algorithm lists, or that they are not there. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseKexInit } from '../../src/transport/kexinit.ts';
import { encodeStrings } from '../../src/transport/ssh-wire.ts';

/** SSH_MSG_KEXINIT in its packet (RFC 4253 sections 6 and 7.1). */
const LISTS = [
  'curve25519-sha256',
  'ssh-ed25519,rsa-sha2-512',
  'aes128-ctr',
  'to-us',
  'hmac-sha2-256',
  'to-us',
];
const PACKET = Buffer.concat([Buffer.alloc(5), Buffer.of(20), Buffer.alloc(16), encodeStrings(...LISTS)]);
const READ = {
  kex: ['curve25519-sha256'],
  hostKey: ['ssh-ed25519', 'rsa-sha2-512'],
  cipher: ['aes128-ctr'],
  mac: ['hmac-sha2-256'],
};

function parse(text: string, packet = PACKET): ReturnType<typeof parseKexInit> {
  return parseKexInit(Buffer.concat([Buffer.from(text), packet]));
}

test('the lists are read behind the version, with and without the carriage return', () => {
  assert.deepEqual(parse('SSH-2.0-OpenSSH_9.2\r\n'), READ);
  assert.deepEqual(parse('SSH-2.0-x\n'), READ);
});

test('lines before the version are passed over, and one that names SSH is not taken for it', () => {
  assert.deepEqual(parse('No root here.\r\nThis is an SSH-only host\r\nSSH-2.0-x\r\n'), READ);
});

test('a list that is empty has no names', () => {
  const packet = Buffer.concat([PACKET.subarray(0, 22), encodeStrings('', '', '', '', '')]);
  assert.deepEqual(parse('SSH-2.0-x\r\n', packet), { kex: [], hostKey: [], cipher: [], mac: [] });
});

test('there are none in what is no version, no such message, or cut before the last one', () => {
  assert.equal(parse('220 mail.example.org ESMTP\r\n'), undefined);
  assert.equal(parseKexInit(Buffer.from('SSH-2.0-x')), undefined);
  assert.equal(parse('SSH-2.0-x\r\n', Buffer.alloc(100)), undefined);
  const needed = PACKET.length - encodeStrings('to-us').length;
  for (let length = 0; length < needed; length += 1) {
    assert.equal(parse('SSH-2.0-x\r\n', PACKET.subarray(0, length)), undefined, `${length} bytes`);
  }
  assert.deepEqual(parse('SSH-2.0-x\r\n', PACKET.subarray(0, needed)), READ);
});
