/**
 * Somebody's desk with Alpine, and the mail hosts he reads: each under a name that resolves, to a trap on port 143, and
 * in folders without /secure. Nothing but pine-rsh stands between Alpine and a login in the clear.
 */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { type Alpine, type AlpineOptions, NO_SUCH_HOST_ENV, openAlpine } from './alpine.ts';
import { BUILDS, type Build } from './builds.ts';
import { assertNoCleartext, findOwnAddress, openCleartextTrap } from './cleartext-trap.ts';
import { type MailHost, openMailHost } from './mail-host.ts';
import { requirePrograms } from './requirements.ts';
import type { TempHome } from './temp-home.ts';
import { openTrialHome, waitForNoSession } from './trials.ts';
import { waitUntil } from './wait.ts';

/** For `{ skip }` of node:test. */
export const DESK_NEEDS = requirePrograms('alpine', 'tmux', 'sshd', 'imap');

/** How sessions reach their host, each way with a build of its own where there are two. */
export interface Way {
  readonly name: string;
  readonly share: 'yes' | 'no';
  readonly build: Build;
}

const [STANDALONE, BUNDLE = STANDALONE] = BUILDS.filter(({ skip }) => skip === false);
assert.ok(STANDALONE !== undefined && BUNDLE !== undefined);

export const SHARED: Way = { name: `shared, ${STANDALONE.name}`, share: 'yes', build: STANDALONE };
export const DIRECT: Way = { name: `direct, ${BUNDLE.name}`, share: 'no', build: BUNDLE };
export const WAYS = [SHARED, DIRECT] as const;

export interface Place {
  readonly host: MailHost;
  /** The part of a folder's name in braces. */
  readonly mailbox: string;
}

export interface AlpineDesk {
  readonly home: TempHome;
  /** In the order of their names. */
  readonly places: readonly Place[];
  /** From now on sessions go this way, and Alpine is given its build. */
  go(way: Way): void;
  /** Alpine in the INBOX of the first place. */
  open(options?: Pick<AlpineOptions, 'pinerc' | 'collections'>): Promise<Alpine>;
  /** What `open` starts Alpine with. */
  options(): AlpineOptions;
  /** Quits, waits until nothing is left but brokers, and looks into the traps. */
  leave(alpine: Alpine): Promise<void>;
}

/** Opens a mail host for each name. */
export async function openAlpineDesk(
  t: TestContext,
  first: Way,
  names: readonly string[] = ['work'],
): Promise<AlpineDesk> {
  const home = openTrialHome(t, NO_SUCH_HOST_ENV);
  const all = await Promise.all(
    names.map(async (name) => {
      const [host, address] = [await openMailHost(t), findOwnAddress()];
      const trap = await openCleartextTrap(t, [address]);
      return { name, host, address, trap, mailbox: `{${address}/user=${host.user}}` };
    }),
  );
  let way = first;
  let shared = false;
  const go = (next: Way): void => {
    way = next;
    shared ||= way.share === 'yes';
    for (const { name, host, address } of all) {
      const keys = { ...host.aliasKeys, IMAPD: host.rimapd, ALIASES: address };
      home.writeAlias(name, { ...keys, SHARE: next.share, PERSIST: 60 });
    }
  };
  go(first);
  const options = (): AlpineOptions => ({
    mailbox: all[0]?.mailbox ?? '',
    rshPath: way.build.rshPath,
    // Alpine would show each of two messages for three seconds before it takes the next key.
    pinerc: ['status-message-delay=-3'],
  });
  return {
    home,
    places: all,
    go,
    options,
    open: async ({ pinerc = [], ...more } = {}) => {
      const base = options();
      const alpine = openAlpine(t, home, { ...base, ...more, pinerc: [...(base.pinerc ?? []), ...pinerc] });
      await alpine.waitFor(/MESSAGE INDEX .*Folder: INBOX .*M.*ge +\d+ of/);
      return alpine;
    },
    leave: async (alpine) => {
      assert.equal(await alpine.quit(), 0);
      await waitForNoSession(home);
      for (const { host, trap } of all) {
        assertNoCleartext(t, trap);
        // A broker keeps an imapd.
        if (!shared) await waitUntil('the remote imapds end', () => host.remoteProcesses().length === 0);
      }
    },
  };
}
