/** What setup changes in files of the person's: what is asked about it, and how it is written and shown. */
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { aliasFile, defaultsFile, hostsFolder, readConfigFolder } from '../../alias/config-folder.ts';
import { lookupAlias } from '../../alias/lookup.ts';
import { explainSystemError } from '../../alias/trusted-path.ts';
import { errnoOf } from '../../errors.ts';
import { escapeForTerminal } from '../../terminal-text.ts';
import { printLines } from '../output.ts';
import { findSetting, listFolders, parsePinerc, userOf } from '../pinerc-file.ts';
import { formatFolderLines, formatMailbox, formatProgramLines, type PineFolder } from '../pinerc-lines.ts';
import type { SetupRun } from '../setup.ts';
import { formatAliasFile, type VisitedHost } from './host-plan.ts';
import { finalKeys, type InstallPlan } from './install.ts';
import { editPinerc, formatSendmailPath } from './pinerc-edit.ts';
import { FileChanges } from './write.ts';

export interface SetupChanges {
  /** Write UNMANAGED into defaults.env. */
  readonly unmanaged: 'deny' | 'allow' | undefined;
  /** The .pinerc to edit. */
  readonly pinerc: string | undefined;
}

/** @throws {Failure} `usage`, `file-unreadable`, `file-unusable` @throws {Declined} */
export async function chooseChanges(plan: InstallPlan, run: SetupRun): Promise<SetupChanges> {
  const { settings, options, answers } = run;
  const own = join(settings.home, '.pinerc');
  const given = options.pinerc;
  const file = given === undefined || given === 'yes' || given === 'no' ? own : resolve(given);
  const before = readPinerc(file);
  const unmanaged = await chooseUnmanaged(before, plan, run);
  const edit =
    file === own
      ? await answers.getYesNo({
          name: 'pinerc',
          text: existsSync(own) ? `edit ${own} (a copy of it is kept)` : `make ${own}, for Alpine`,
          option: '--pinerc',
          given,
          proposal: true,
        })
      : true;
  return { unmanaged, pinerc: edit ? file : undefined };
}

/** Empty if there is none yet. @throws {Failure} `file-unreadable`, `file-unusable` */
function readPinerc(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return Buffer.alloc(0);
    throw explainSystemError(error, file, 'u+r');
  }
}

/** Proposed where no folder that is in use would be refused. */
async function chooseUnmanaged(
  pinerc: Buffer,
  { hosts }: InstallPlan,
  { settings, options, answers }: SetupRun,
): Promise<SetupChanges['unmanaged']> {
  const own = readConfigFolder(settings.configDirs[0], settings)?.defaults?.values.get('UNMANAGED');
  if (own !== undefined && options.unmanaged === undefined) return undefined;
  const others = listPlainFolders(pinerc, hosts, settings);
  const answer = await answers.get({
    name: 'unmanaged',
    about: [
      'a host that has no alias is left to Alpine, which may send a password for all to read; deny keeps Alpine from it',
      ...(others.length === 0 ? [] : [`folders that would be refused: ${others.join(', ')}`]),
    ],
    text: 'hosts without an alias (deny/allow)',
    option: '--unmanaged',
    given: options.unmanaged,
    proposal: others.length === 0 ? 'deny' : 'allow',
    check: (text) => (/^(?:deny|allow)$/.test(text) ? undefined : 'deny or allow'),
  });
  return answer === 'deny' || own !== undefined ? (answer as 'deny' | 'allow') : undefined;
}

/** Hosts of folders without an alias that Alpine would open by rsh first. */
function listPlainFolders(
  pinerc: Buffer,
  hosts: readonly VisitedHost[],
  settings: SetupRun['settings'],
): string[] {
  const names = new Set<string>();
  for (const folder of listFolders(parsePinerc(pinerc.toString('utf8')))) {
    const { host, port, flags } = folder;
    if (port !== undefined || flags.some((flag) => /^(?:ssl|tls|norsh|nntp|pop3)/.test(flag))) continue;
    if (hosts.some(({ name }) => name === host.toLowerCase())) continue;
    const query = { host, user: userOf(folder), port: undefined, options: new Map<string, string>() };
    try {
      if (lookupAlias(settings, query).kind === 'unmanaged') names.add(host);
    } catch {
      // Whatever it is, it is not left to Alpine.
    }
  }
  return [...names];
}

/** Writes everything, or nothing. @throws {Failure} `file-unusable`, `file-untrusted` */
export function writeChanges(plan: InstallPlan, changes: SetupChanges, run: SetupRun): void {
  const { settings, options, answers, output } = run;
  const { programPath } = options;
  const [config] = settings.configDirs;
  const mail = plan.hosts.at(-1) as VisitedHost;
  const folder: PineFolder = { label: mail.name, host: mail.name, user: mail.alias.user };
  const files = new FileChanges();
  let otherInbox = false;
  try {
    for (const host of plan.hosts) {
      if (host.key !== undefined) files.writeKey(host.key);
      const text = formatAliasFile('written by pine-rshctl setup', finalKeys(host, plan));
      files.replace(aliasFile(hostsFolder(config), host.name), text, (real) => `${real}.old`);
    }
    if (changes.unmanaged !== undefined) {
      const file = defaultsFile(config);
      const before = existsSync(file) ? readFileSync(file, 'utf8') : '';
      files.replace(file, setUnmanaged(before, changes.unmanaged), (real) => `${real}.old`);
    }
    if (changes.pinerc !== undefined) {
      const before = readPinerc(changes.pinerc).toString('latin1');
      const inbox = findSetting(parsePinerc(before), 'inbox-path')?.value ?? '';
      otherInbox = inbox !== '' && !inbox.startsWith(formatMailbox(folder));
      const change = { programPath, folder, sendmail: plan.sendmail !== undefined };
      const after = editPinerc(before, change);
      if (after !== before) {
        files.replace(changes.pinerc, Buffer.from(after, 'latin1'), (real) => `${real}${BACKUP}`);
      }
    }
    for (const { decision } of plan.hosts) decision.record();
  } catch (thrown) {
    files.undo();
    throw thrown;
  }
  answers.say(`wrote ${plan.hosts.map(({ name }) => aliasFile(hostsFolder(config), name)).join(', ')}`);
  if (changes.pinerc !== undefined) {
    answers.say(
      `${changes.pinerc} is ready: start Alpine (quit one that runs first: it writes the file when it ends)`,
    );
    if (otherInbox) {
      answers.say(
        `INBOX stays where it is; the new mailbox is the collection ${mail.name} in the folder list`,
      );
    }
    return;
  }
  answers.say('the lines for .pinerc:');
  const sendmail =
    plan.sendmail === undefined ? [] : [`sendmail-path=${formatSendmailPath(programPath, mail.name)}`];
  const lines = [...formatProgramLines(programPath), ...formatFolderLines([folder]), ...sendmail];
  printLines(
    output,
    lines.map((line) => `  ${line.replace(/[^\t]+/g, escapeForTerminal)}`),
  );
}

const BACKUP = '.before-pine-rsh';

/** In place of a line that says otherwise. */
function setUnmanaged(text: string, value: string): string {
  const line = `UNMANAGED=${value}`;
  if (/^\s*UNMANAGED\s*=/m.test(text)) return text.replace(/^\s*UNMANAGED\s*=.*$/m, line);
  return `${text}${text === '' || text.endsWith('\n') ? '' : '\n'}${line}\n`;
}
