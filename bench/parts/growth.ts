/** What opening and declining cost as alias files and lines of known_hosts become many. */
import { createHmac, randomBytes } from 'node:crypto';
import type { TempHome } from '../../test/helpers/temp-home.ts';
import { waitForBroker } from '../broker-watch.ts';
import { timeMail, timeRun } from '../mail-session.ts';
import { compare, type Measure, QUICK_RUNS, type Subject } from '../measure.ts';
import { openSsh } from '../peers.ts';
import { openHome, pineOpens, type Stage } from '../stage.ts';

const ALIASES = [1_000, 10];
const LINES = [10_000, 10];

/** In ALIASES of the alias that is opened. */
const OTHER_NAME = 'folders.example.org';

const UNKNOWN_NAME = 'nowhere.example.net';

export async function measureAliases(stage: Stage): Promise<Measure[]> {
  const homes = ALIASES.map((count) => ({
    who: `pine-rsh, ${show(count)} aliases`,
    home: fillHome(stage, count),
  }));
  const opens = (name: string) => (home: TempHome) => async () => {
    await waitForBroker(home, 1);
    return await timeMail(pineOpens(stage, home, name));
  };
  const declines = (home: TempHome) => async () => (await timeRun(pineOpens(stage, home, UNKNOWN_NAME))).ms;
  for (const { home } of homes) await timeMail(pineOpens(stage, home));
  const measures: Measure[] = [];
  for (const [what, sampleOf] of [
    ['warm folder, exact name', opens('work')],
    ['warm folder, name from ALIASES', opens(OTHER_NAME)],
    ['host without an alias, to exit', declines],
  ] as const) {
    const subjects = homes.map(({ who, home }) => ({ who, sample: sampleOf(home) }));
    measures.push(await grown(what, subjects, stage.runs * QUICK_RUNS));
  }
  return measures;
}

export async function measureKnownHosts(stage: Stage): Promise<Measure[]> {
  const files = LINES.map((count) => ({ count, text: makeKnownHosts(count) + stage.knownHosts }));
  const ours = files.map(({ count, text }) => {
    const home = openHome(stage, 0, { SHARE: 'no' });
    home.writeFile('known_hosts', text);
    const sample = () => timeMail(pineOpens(stage, home));
    return { who: `pine-rsh, ${show(count)} lines`, sample };
  });
  const theirs = files.map(({ count, text }) => {
    const { who, command } = openSsh(stage, 0, text);
    const sample = () => timeMail(command(`exec ${stage.host.rimapd}`));
    return { who: `${who}, ${show(count)} lines`, sample };
  });
  return [
    await grown('first folder, lines of known_hosts', ours, stage.runs),
    await grown('the same with ssh', theirs, stage.runs),
  ];
}

/** The first subject is the one that has grown, the last one what it is compared with. */
async function grown(what: string, subjects: readonly Subject[], runs: number): Promise<Measure> {
  const figures = await compare(subjects, runs);
  return { part: 'growth', what, roundTrip: 0, unit: 'ms', figures, base: subjects.at(-1)?.who ?? '' };
}

function fillHome(stage: Stage, count: number): TempHome {
  const home = openHome(stage, 0, { ALIASES: OTHER_NAME });
  for (let index = 1; index < count; index += 1) {
    home.writeAlias(`host${index}`, {
      HOSTNAME: `host${index}.example.org`,
      USER: 'pat',
      ALIASES: `mail${index}.example.org`,
    });
  }
  return home;
}

/** Every other one hashed (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT), as both are common. */
function makeKnownHosts(count: number): string {
  const head = Buffer.from('\0\0\0\x0bssh-ed25519\0\0\0\x20', 'latin1');
  return Array.from({ length: count }, (_, index) => {
    const name = `host${index}.example.org`;
    const key = Buffer.concat([head, randomBytes(32)]).toString('base64');
    return `${index % 2 === 0 ? name : hashName(name)} ssh-ed25519 ${key}\n`;
  }).join('');
}

function hashName(name: string): string {
  const salt = randomBytes(20);
  const hash = createHmac('sha1', salt).update(name).digest('base64');
  return `|1|${salt.toString('base64')}|${hash}`;
}

function show(count: number): string {
  return count.toLocaleString('en-US');
}
