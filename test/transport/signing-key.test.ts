/** Keys that an agent holds, as a login offers them: which can be offered at all, and what they sign with. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { describe, test } from 'node:test';
import ssh2 from 'ssh2';
import type { AgentKey } from '../../src/transport/agent.ts';
import { Attempt } from '../../src/transport/attempt.ts';
import {
  agentIdentity,
  type Identity,
  lockedIdentity,
  openIdentity,
} from '../../src/transport/signing-key.ts';
import { encodeStrings } from '../../src/transport/ssh-wire.ts';

/** A key of an agent that notes how it is asked, and answers with the type and these bytes. */
function agentKey(type: string, blob: Buffer): AgentKey & { readonly flags: number[] } {
  const flags: number[] = [];
  const sign = async (_data: Buffer, flag: number): Promise<Buffer> => {
    flags.push(flag);
    return encodeStrings(type, 'signature');
  };
  return { blob, type, comment: 'pat', sign, flags };
}

const ED25519 = encodeStrings('ssh-ed25519', Buffer.alloc(32, 1));
const RSA = encodeStrings('ssh-rsa', '\x01\x00\x01', `\x00${'\xff'.repeat(256)}`);

/** What a login learns when a key signs: the signature, or why there is none. */
async function sign(identity: Identity, algorithm: string) {
  const attempt = new Attempt('mail:22', 60, new AbortController().signal);
  const unusable: unknown[] = [];
  const client = new ssh2.Client();
  const login = { user: 'pat', client, attempt, onUnusable: (error: unknown) => unusable.push(error) };
  const { agent } = identity.method(algorithm, login) as ssh2.AgentAuthMethod;
  assert.ok(typeof agent === 'object');
  const [key] = await new Promise<ssh2.ParsedKey[]>((resolve, reject) => {
    agent.getIdentities((error, keys) =>
      keys === undefined ? reject(error) : resolve(keys as ssh2.ParsedKey[]),
    );
  });
  const outcome = await new Promise((resolve) => {
    const done: ssh2.SignCallback = (error, signature) => resolve(error ?? signature?.toString());
    agent.sign(key as ssh2.ParsedKey, Buffer.from('data'), {}, done);
  });
  attempt.end();
  return { outcome, unusable };
}

describe('A key of an agent', () => {
  test('is offered with the hash that the server is known to take', async () => {
    const key = agentKey('ssh-rsa', RSA);
    const identity = agentIdentity('pat (agent)', key);
    assert.deepEqual(identity?.algorithms, ['ssh-rsa', 'rsa-sha2-512', 'rsa-sha2-256']);
    for (const algorithm of identity.algorithms) {
      assert.deepEqual(await sign(identity, algorithm), { outcome: 'signature', unusable: [] });
    }
    // SHA-1 where the choice is the server's and it made none; SSH_AGENT_RSA_SHA2_512, SSH_AGENT_RSA_SHA2_256.
    assert.deepEqual(key.flags, [0, 4, 2]);
  });

  test('of any other kind signs as it does', async () => {
    const key = agentKey('ssh-ed25519', ED25519);
    const identity = agentIdentity('pat (agent)', key);
    assert.ok(identity !== undefined);
    assert.deepEqual(await sign(identity, 'ssh-ed25519'), { outcome: 'signature', unusable: [] });
    assert.deepEqual(key.flags, [0]);
  });

  test('of a type that ssh2 does not know is offered if it is touched or certified, else not', () => {
    const offered = (type: string) =>
      agentIdentity('x', agentKey(type, encodeStrings(type, 'x')))?.algorithms;
    assert.deepEqual(offered('sk-ssh-ed25519@openssh.com'), ['sk-ssh-ed25519@openssh.com']);
    assert.deepEqual(offered('ssh-ed25519-cert-v01@openssh.com'), ['ssh-ed25519-cert-v01@openssh.com']);
    assert.deepEqual(offered('ssh-rsa-cert-v01@openssh.com'), ['rsa-sha2-512-cert-v01@openssh.com']);
    assert.equal(offered('webauthn'), undefined);
    assert.equal(offered(''), undefined);
  });

  test('whose signature ssh2 cannot send says so, and the login goes on', async () => {
    const type = 'ssh-rsa-cert-v01@openssh.com';
    const key = agentKey(type, encodeStrings(type, 'x'));
    const identity = agentIdentity('pat (agent)', key);
    assert.ok(identity !== undefined);
    const { outcome, unusable } = await sign(identity, 'rsa-sha2-512-cert-v01@openssh.com');
    assert.match(String(outcome), /TRANSPORT=ssh2 cannot send it/);
    assert.deepEqual([unusable, key.flags], [[outcome], [4]]);
  });

  test('that does not sign is of no use, and says why', async () => {
    const key = { ...agentKey('ssh-ed25519', ED25519), sign: () => Promise.reject(new Error('it refused')) };
    const identity = agentIdentity('pat (agent)', key);
    assert.ok(identity !== undefined);
    const { outcome, unusable } = await sign(identity, 'ssh-ed25519');
    assert.match(String(outcome), /it refused/);
    assert.deepEqual(unusable, [outcome]);
  });
});

describe('A locked key', () => {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const key = ssh2.utils.parseKey(privateKey.export({ type: 'pkcs1', format: 'pem' })) as ssh2.ParsedKey;

  test('is unlocked once, when it has to sign', async () => {
    let unlocks = 0;
    const unlock = async () => {
      unlocks += 1;
      return key;
    };
    const identity = lockedIdentity('id_rsa', key.getPublicSSH(), unlock);
    assert.ok(identity !== undefined);
    assert.equal(unlocks, 0);
    for (const algorithm of ['rsa-sha2-512', 'rsa-sha2-256']) {
      assert.equal(typeof (await sign(identity, algorithm)).outcome, 'string');
    }
    assert.equal(unlocks, 1);
  });

  test('whose public half is of a type that ssh2 does not know is not one of those', () => {
    assert.equal(
      lockedIdentity('id', encodeStrings('sk-ssh-x', 'x'), () => assert.fail('unlocked')),
      undefined,
    );
  });

  test('that lies open offers itself, by any hash', () => {
    const identity = openIdentity('id_rsa', key);
    const login = { user: 'pat' } as Parameters<Identity['method']>[1];
    assert.equal(identity.signsFreely, true);
    for (const algorithm of identity.algorithms) {
      const method = identity.method(algorithm, login) as ssh2.PublicKeyAuthMethod;
      assert.equal((method.key as ssh2.ParsedKey).type, algorithm);
    }
  });
});
