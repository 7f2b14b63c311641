/** What the environment says, and what counts where it says nothing that can be used. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readAccount } from '../src/account.ts';
import { readCallerSettings, readSettings } from '../src/settings.ts';

const { home, uid } = readAccount();

test('folders are where the environment says, by its most special word', () => {
  const own = { PINE_RSH_CONFIG_DIR: '/c', PINE_RSH_STATE_DIR: '/s', PINE_RSH_RUNTIME_DIR: '/r' };
  const xdg = { XDG_CONFIG_HOME: '/xc', XDG_STATE_HOME: '/xs', XDG_RUNTIME_DIR: '/xr' };
  const foldersOf = (env: Record<string, string>) => {
    const { configDirs, stateDir, runtimeDirs } = readSettings(env);
    return [configDirs[0], stateDir, runtimeDirs];
  };
  const shared = `/tmp/pine-rsh-${uid}`;
  assert.deepEqual(foldersOf({ ...xdg, ...own }), ['/c', '/s', ['/r']]);
  assert.deepEqual(foldersOf(xdg), ['/xc/pine-rsh', '/xs/pine-rsh', ['/xr/pine-rsh', shared]]);
  assert.deepEqual(foldersOf({ HOME: '/h' }), ['/h/.config/pine-rsh', '/h/.local/state/pine-rsh', [shared]]);
  assert.deepEqual(foldersOf({}), [`${home}/.config/pine-rsh`, `${home}/.local/state/pine-rsh`, [shared]]);
});

test('a folder that depends on where somebody stands is none', () => {
  const { configDirs, runtimeDirs, agentSocket } = readSettings({
    HOME: '/h',
    XDG_CONFIG_HOME: 'c',
    XDG_RUNTIME_DIR: './r',
    SSH_AUTH_SOCK: 'agent',
  });
  assert.deepEqual(
    [configDirs[0], runtimeDirs, agentSocket],
    ['/h/.config/pine-rsh', [`/tmp/pine-rsh-${uid}`], undefined],
  );
});

for (const name of ['PINE_RSH_CONFIG_DIR', 'PINE_RSH_STATE_DIR', 'PINE_RSH_RUNTIME_DIR']) {
  test(`a relative path in ${name} is a mistake, and the short way leaves it to the long one`, () => {
    for (const value of ['c', './c', '../c', '~/c']) {
      const env = { HOME: '/h', [name]: value };
      assert.throws(() => readSettings(env), {
        code: 'folder-relative',
        message: `${name} is a relative path`,
        sysexit: 78,
      });
      assert.equal(readCallerSettings(env), undefined);
    }
    assert.deepEqual(readSettings({ HOME: '/h', [name]: '' }).configDirs[0], '/h/.config/pine-rsh');
    assert.equal(readCallerSettings({ HOME: '/h', [name]: '' })?.uid, uid);
  });
}

test('an askpass program wants a display, unless it is said whether it does', () => {
  const program = { SSH_ASKPASS: '/usr/bin/ask' };
  for (const [env, askpass] of [
    [program, undefined],
    [{ ...program, DISPLAY: ':0' }, '/usr/bin/ask'],
    [{ ...program, WAYLAND_DISPLAY: 'wayland-0' }, '/usr/bin/ask'],
    [{ ...program, SSH_ASKPASS_REQUIRE: 'prefer' }, '/usr/bin/ask'],
    [{ ...program, SSH_ASKPASS_REQUIRE: 'force' }, '/usr/bin/ask'],
    [{ ...program, SSH_ASKPASS_REQUIRE: 'never', DISPLAY: ':0' }, undefined],
    [{ SSH_ASKPASS: '', DISPLAY: ':0' }, undefined],
    [{ DISPLAY: ':0' }, undefined],
  ] as const) {
    assert.equal(readSettings(env).askpass, askpass, JSON.stringify(env));
  }
});

test('a broker gets what it needs of the environment, and nothing else', () => {
  const { brokerEnv } = readSettings({
    HOME: '/h',
    KRB5CCNAME: '/k',
    LD_PRELOAD: '/evil.so',
    TOKEN: 'secret',
  });
  assert.deepEqual(brokerEnv, { HOME: '/h', KRB5CCNAME: '/k' });
});
