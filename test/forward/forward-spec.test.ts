/** What is taken for a forward, and what is said about the rest. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Failure } from '../../src/errors.ts';
import { parseForwardSpec } from '../../src/forward/forward-spec.ts';

const onPort = (port: number) => ({ kind: 'port', port });
const onSocket = (path: string) => ({ kind: 'socket', path });

for (const [text, expected] of [
  ['2025:mail:25', { listen: onPort(2025), host: 'mail', port: 25, dialogue: 'smtp' }],
  [
    '2587:mail.example.org:587',
    { listen: onPort(2587), host: 'mail.example.org', port: 587, dialogue: 'smtp' },
  ],
  ['2119:news:119', { listen: onPort(2119), host: 'news', port: 119, dialogue: 'nntp' }],
  ['2465:mail:465', { listen: onPort(2465), host: 'mail', port: 465, dialogue: 'any' }],
  [
    '2026:[2001:db8::1]:10025/smtp',
    { listen: onPort(2026), host: '2001:db8::1', port: 10025, dialogue: 'smtp' },
  ],
  ['2025:mail:25/any', { listen: onPort(2025), host: 'mail', port: 25, dialogue: 'any' }],
  [
    '/run/user/1/smtp:mail:25',
    { listen: onSocket('/run/user/1/smtp'), host: 'mail', port: 25, dialogue: 'smtp' },
  ],
  ['/tmp/a:b/s:mail:119', { listen: onSocket('/tmp/a:b/s'), host: 'mail', port: 119, dialogue: 'nntp' }],
] as const) {
  test(`a forward: ${text}`, () => assert.deepEqual(parseForwardSpec(text), expected));
}

for (const [text, why] of [
  ['', 'it is LPORT:HOST:PORT or /path/socket:HOST:PORT'],
  ['2025', 'it is LPORT:HOST:PORT or /path/socket:HOST:PORT'],
  ['mail:25', 'it is LPORT:HOST:PORT or /path/socket:HOST:PORT'],
  ['0.0.0.0:2025:mail:25', 'only loopback is listened on; leave out 0.0.0.0'],
  ['*:2025:mail:25', 'only loopback is listened on; leave out *'],
  ['[::]:2025:mail:25', 'only loopback is listened on; leave out [::]'],
  [':2025:mail:25', 'only loopback is listened on; leave out the first :'],
  ['./socket:mail:25', 'the path of a socket begins with /'],
  ['0:mail:25', 'LPORT is a number from 1 to 65535'],
  ['2025:mail:65536', 'PORT is a number from 1 to 65535'],
  ['2025:-oProxyCommand=x:25', 'HOST is a host name or an address, an IPv6 one in brackets'],
  ['2025:mail:25/pop3', 'behind the last / stands smtp, nntp or any'],
] as const) {
  test(`no forward: ${JSON.stringify(text)}`, () => {
    assert.throws(
      () => parseForwardSpec(text),
      (thrown) => {
        assert.ok(thrown instanceof Failure);
        assert.deepEqual([thrown.code, thrown.message], ['usage', `${text} is no forward: ${why}`]);
        return true;
      },
    );
  });
}
