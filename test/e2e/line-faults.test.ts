/**
 * A line that breaks, goes dead or changes a bit, at every boundary of the login and of what leads to the greeting. A
 * mail client gets a greeting or a reason each time, and never silence, which it would take for "no rsh here".
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { openSuiteScope } from '../broker/sharing.ts';
import { BUILDS, type Build } from '../helpers/builds.ts';
import {
  type Direction,
  type LineFault,
  openRelay,
  type Relay,
  writeKnownHosts,
} from '../helpers/faulty-host.ts';
import { type MailHost, openMailHost } from '../helpers/mail-host.ts';
import { pineWords, settleOpening } from '../helpers/pine-caller.ts';
import { requirePrograms } from '../helpers/requirements.ts';
import { type PineChild, runAsPine } from '../helpers/run-as-pine.ts';
import type { Scope } from '../helpers/scope.ts';
import { openTrialHome } from '../helpers/trials.ts';

const NEEDS = requirePrograms('sshd', 'imap');
const DIRECTIONS = ['up', 'down'] as const;

/** SSH_MSG_NEWKEYS (RFC 4253 section 12): what follows is encrypted. */
const NEWKEYS = 21;

/** Seconds, for a login on a busy machine; a dead line is given up then. */
const CONNECT_TIMEOUT = 3;
const DEADLINE = { timeout: 15_000 };
/** More at once would be slow, and given up for that. */
const AT_ONCE = 4;
/** SERVER_ALIVE_INTERVAL and one probe, a second each; the rest is a busy machine. */
const AFTER_GREETING = { timeout: 15_000 };

interface Line {
  readonly relay: Relay;
  start(): PineChild;
}

async function openLine(scope: Scope, build: Build, host: MailHost): Promise<Line> {
  const relay = await openRelay(scope, host.port);
  const home = openTrialHome(scope);
  home.writeAlias('work', {
    ...host.aliasKeys,
    PORT: relay.port,
    KNOWN_HOSTS: writeKnownHosts(host, relay.port),
    IMAPD: host.rimapd,
    SHARE: 'no',
    CONNECT_TIMEOUT,
    SERVER_ALIVE_INTERVAL: 1,
    SERVER_ALIVE_COUNT_MAX: 1,
  });
  const start = (): PineChild =>
    runAsPine(scope, build.rshPath, pineWords('work', host.user), { env: home.env, cwd: '/' });
  return { relay, start };
}

/** Offsets behind the version line and each packet that goes in the clear (RFC 4253 sections 4.2 and 6). */
function plainBoundaries(bytes: Buffer): number[] {
  const found = [bytes.indexOf('\n') + 1];
  for (;;) {
    const at = found.at(-1) as number;
    found.push(at + 4 + bytes.readUInt32BE(at));
    if (bytes[at + 5] === NEWKEYS) return found;
  }
}

interface Boundaries {
  readonly plain: readonly number[];
  readonly encrypted: readonly number[];
}

/** Opens a mailbox on a good line and gives the boundaries of all that went before the greeting. */
async function measure(scope: Scope, build: Build, host: MailHost): Promise<Record<Direction, Boundaries>> {
  const { relay, start } = await openLine(scope, build, host);
  const child = start();
  assert.equal(await settleOpening(child), undefined);
  const of = (direction: Direction): Boundaries => {
    const plain = plainBoundaries(relay.content(direction));
    const end = plain.at(-1) as number;
    return { plain, encrypted: relay.reads(direction).filter((offset) => offset > end) };
  };
  const boundaries = { up: of('up'), down: of('down') };
  child.write('a1 LOGOUT\r\n');
  assert.equal((await child.finish()).code, 0);
  return boundaries;
}

for (const build of BUILDS) {
  describe(`A line that fails on the way to the greeting (${build.name})`, {
    skip: NEEDS || build.skip,
    concurrency: 2,
  }, () => {
    const scope = openSuiteScope();
    let world: Promise<{ host: MailHost; boundaries: Record<Direction, Boundaries> }> | undefined;
    const open = () => {
      world ??= openMailHost(scope).then(async (host) => ({
        host,
        boundaries: await measure(scope, build, host),
      }));
      return world;
    };

    /** A mailbox or a refusal; a mailbox on a line that failed ends soon. Gives the refusal's text. */
    const fail = async (
      host: MailHost,
      offset: number,
      direction: Direction,
      how: LineFault,
    ): Promise<string | undefined> => {
      const undos: (() => unknown)[] = [];
      try {
        const { relay, start } = await openLine({ after: (undo) => void undos.push(undo) }, build, host);
        relay.failAfter(offset, direction, how);
        const child = start();
        const text = await settleOpening(child, DEADLINE);
        if (text !== undefined) return text;
        child.write('a1 NOOP\r\n');
        if (how === 'flip') return undefined;
        assert.equal((await child.finish(AFTER_GREETING)).code, 255);
        return undefined;
      } catch (error) {
        throw new Error(`${how} after ${offset} bytes ${direction}`, { cause: error });
      } finally {
        for (const undo of undos) await undo();
      }
    };
    const failAll = async (
      host: MailHost,
      points: readonly number[],
      direction: Direction,
      how: LineFault,
    ): Promise<(string | undefined)[]> => {
      const told: (string | undefined)[] = [];
      const left = points.entries();
      const work = async (): Promise<void> => {
        for (const [index, offset] of left) told[index] = await fail(host, offset, direction, how);
      };
      await Promise.all(Array.from({ length: how === 'stall' ? points.length : AT_ONCE }, work));
      return told;
    };

    for (const direction of DIRECTIONS) {
      test(`Cut at or before each boundary, ${direction}`, async () => {
        const { host, boundaries } = await open();
        const { plain, encrypted } = boundaries[direction];
        const all = [0, ...plain, ...encrypted];
        const points = all.flatMap((offset) => (offset === 0 ? [0] : [offset - 1, offset]));
        const told = await failAll(host, points, direction, 'cut');
        // Only what the server sent last may leave a mailbox open for a moment.
        assert.ok(
          told.filter((text) => text !== undefined).length >= points.length - 3,
          `${told.join('\n')}`,
        );
      });

      test(`Dead at each boundary of the key exchange and the login, ${direction}`, async () => {
        const { host, boundaries } = await open();
        const { plain } = boundaries[direction];
        // And within the first encrypted packet: a whole read may hold more than the login.
        const points = [0, ...plain, (plain.at(-1) as number) + 1];
        const told = await failAll(host, points, direction, 'stall');
        for (const text of told) assert.match(text ?? '', /no answer from .* within 3 s/);
      });

      test(`A bit turned over in each message, ${direction}`, async () => {
        const { host, boundaries } = await open();
        const { plain, encrypted } = boundaries[direction];
        // In the clear the kind of each packet; then the last byte, which proves that the others are right.
        const points = [
          ...[0, ...plain.slice(0, -1)].map((start) => start + 5),
          ...encrypted.map((end) => end - 1),
        ];
        const told = await failAll(host, points, direction, 'flip');
        assert.deepEqual(
          points.filter((_, index) => told[index] === undefined),
          [],
        );
      });
    }

    test('Nothing fails where the first lines come byte by byte', async (t) => {
      const { host } = await open();
      const { relay, start } = await openLine(t, build, host);
      relay.dribble();
      const child = start();
      assert.equal(await settleOpening(child), undefined);
      child.write('a1 LOGOUT\r\n');
      assert.equal((await child.finish()).code, 0);
    });
  });
}
