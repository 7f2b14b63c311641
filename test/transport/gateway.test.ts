/** PROXY_JUMP -> the hosts on the way, with what each of them has of its own. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Alias } from '../../src/alias/alias.ts';
import { lookupAlias } from '../../src/alias/lookup.ts';
import { Failure } from '../../src/errors.ts';
import { Log } from '../../src/log.ts';
import { readSettings } from '../../src/settings.ts';
import { openGateways, resolveGateways } from '../../src/transport/gateway.ts';
import { type AliasKeys, openTempHome, type TempHome } from '../helpers/temp-home.ts';

function openHome(t: TestContext, aliases: Readonly<Record<string, AliasKeys>>) {
  const home: TempHome = openTempHome(t);
  for (const [name, keys] of Object.entries(aliases)) home.writeAlias(name, { SSH_CONFIG: 'no', ...keys });
  const settings = readSettings(home.env);
  const context = {
    settings,
    log: new Log(home.stateDir, 0),
    family: 0,
    signal: AbortSignal.timeout(30_000),
  } as const;
  const found = lookupAlias(settings, { host: 'work', user: undefined, port: undefined, options: new Map() });
  assert.ok(found.kind === 'managed');
  const { alias } = found;
  return { alias, context, settings, resolve: () => resolveGateways(alias, context) };
}

const placeOf = ({ user, hostname, port }: Alias): string => `${user}@${hostname}:${port}`;

test('a gateway that is no alias has what is written, and the keys and files of the alias', async (t) => {
  const { resolve, settings } = openHome(t, {
    work: {
      HOSTNAME: 'mail.example.org',
      IDENTITY_FILE: '/k/id',
      KNOWN_HOSTS: '/k/known_hosts',
      HOST_KEY_ALIAS: 'mail-key',
      PROXY_JUMP: 'gate.example.org,pat@gate2.example.org:2222',
    },
  });
  const way = await resolve();
  assert.deepEqual(way.map(placeOf), [
    `${settings.loginName}@gate.example.org:22`,
    'pat@gate2.example.org:2222',
  ]);
  for (const gateway of way) {
    assert.deepEqual([gateway.identityFiles, gateway.knownHosts], [['/k/id'], ['/k/known_hosts']]);
    assert.deepEqual([gateway.hostKeyAlias, gateway.proxyJump], [undefined, []]);
  }
  assert.deepEqual(
    way.map(({ given }) => [given.has('USER'), given.has('PORT'), given.has('HOSTNAME')]),
    [
      [false, false, false],
      [true, true, false],
    ],
  );
  const [open] = await openHome(t, { work: { PROXY_JUMP: 'gate.example.org' } }).resolve();
  assert.equal(open?.identityFiles, undefined);
});

test('a gateway that is an alias has its own, and its own way before it', async (t) => {
  const { resolve } = openHome(t, {
    work: { HOSTNAME: 'mail.example.org', IDENTITY_FILE: '/k/id', PROXY_JUMP: 'gate' },
    gate: { HOSTNAME: 'gate.example.org', USER: 'guest', PORT: 2200, PROXY_JUMP: 'x@outer.example.org' },
  });
  const way = await resolve();
  assert.deepEqual(way.map(placeOf), ['x@outer.example.org:22', 'guest@gate.example.org:2200']);
  assert.deepEqual(
    way.map(({ identityFiles }) => identityFiles),
    [undefined, undefined],
  );
});

for (const [title, aliases, route] of [
  [
    'an alias that is its own gateway',
    { work: { HOSTNAME: 'mail.example.org', PROXY_JUMP: 'work' } },
    'work -> work',
  ],
  [
    'an alias behind its gateway',
    { work: { PROXY_JUMP: 'gate' }, gate: { HOSTNAME: 'gate.example.org', PROXY_JUMP: 'work' } },
    'work -> gate -> work',
  ],
  [
    'a circle that begins later',
    { work: { PROXY_JUMP: 'a' }, a: { PROXY_JUMP: 'b' }, b: { PROXY_JUMP: 'x@c.example.org,a' } },
    'work -> a -> b -> a',
  ],
  [
    'the place itself',
    { work: { HOSTNAME: 'mail', USER: 'pat', PORT: 2222, PROXY_JUMP: 'pat@mail:2222' } },
    'work -> pat@mail:2222',
  ],
  [
    'more gateways than anybody has',
    Object.fromEntries(
      ['work', 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'].map((name, at, names) => [
        name,
        { PROXY_JUMP: names[at + 1] ?? 'x@gate' },
      ]),
    ),
    'work -> a -> b -> c -> d -> e -> f -> g -> h',
  ],
] as const) {
  test(`a way that leads in a circle is refused: ${title}`, async (t) => {
    const { resolve } = openHome(t, aliases);
    await assert.rejects(resolve(), {
      code: 'gateway-loop',
      message: `the way to work leads in a circle: ${route}`,
    });
  });
}

test('two aliases of one place are two hosts, each as seen from where it is connected to', async (t) => {
  const place = { HOSTNAME: 'localhost', PORT: 2222, USER: 'pat' };
  const { resolve } = openHome(t, {
    work: { ...place, PROXY_JUMP: 'gate' },
    gate: { ...place, PROXY_JUMP: 'outer' },
    outer: { HOSTNAME: 'outer.example.org', USER: 'pat', PROXY_JUMP: 'pat@localhost:2222' },
  });
  const way = await resolve();
  assert.deepEqual(way.map(placeOf), [
    'pat@localhost:2222',
    'pat@outer.example.org:22',
    'pat@localhost:2222',
  ]);
});

test('what fails on the way names the gateway, unless it does so already', async (t) => {
  const { resolve, context } = openHome(t, { work: { PROXY_JUMP: 'pat@gate.example.org' } });
  const way = await resolve();
  const openWith = (failure: Error) => openGateways(way, context, () => Promise.reject(failure));
  const named = new Failure('connection-lost', { address: 'gateway gate.example.org:22', why: 'test' });
  await assert.rejects(openWith(named), named);
  const bug = new TypeError('x is not a function');
  await assert.rejects(openWith(bug), bug);
  const unnamed = new Failure('identity-missing', { file: '/k/id' });
  await assert.rejects(openWith(unnamed), (thrown) => {
    assert.ok(thrown instanceof Failure);
    assert.equal(thrown.code, 'gateway-failed');
    assert.match(thrown.message, /pat@gate\.example\.org:22.*\/k\/id/);
    assert.equal(thrown.cause, unnamed);
    return true;
  });
});

test('a gateway that cannot be reached has the keys named that lead to it', async (t) => {
  const { resolve, context } = openHome(t, {
    work: { HOSTNAME: 'mail.example.org', PROXY_JUMP: 'gate,nosuch' },
    gate: { HOSTNAME: 'gate.example.org' },
  });
  const [gate, nosuch] = await resolve();
  const told = async (gateway: Alias | undefined, failure: Failure): Promise<string> => {
    assert.ok(gateway !== undefined);
    const thrown: unknown = await openGateways([gateway], context, () => Promise.reject(failure)).catch(
      (error: unknown) => error,
    );
    assert.ok(thrown instanceof Failure);
    assert.equal(thrown.sysexit, failure.sysexit);
    return `${thrown.message}; ${thrown.hint}`;
  };
  const address = (host: string) => ({ address: `gateway ${host}:22` });
  assert.match(
    await told(nosuch, new Failure('dns-failed', { host: 'gateway nosuch', why: 'ENOTFOUND' })),
    /^no address found for gateway nosuch \(ENOTFOUND\); no alias is called nosuch: check PROXY_JUMP/,
  );
  assert.match(
    await told(gate, new Failure('dns-failed', { host: 'gateway gate.example.org', why: 'ENOTFOUND' })),
    /check the name \(HOSTNAME of gate\)/,
  );
  assert.match(
    await told(nosuch, new Failure('tcp-refused', address('nosuch'))),
    /port is right \(PROXY_JUMP\)/,
  );
  assert.match(
    await told(gate, new Failure('tcp-refused', address('gate.example.org'))),
    /port is right \(PORT of gate\)/,
  );
  const talk = { ...address('gate.example.org'), why: 'it said 220' };
  assert.match(await told(gate, new Failure('not-ssh', talk)), /\(HOSTNAME, PORT of gate\)/);
});
