/**
 * Dovecot's imap on a throw-away Maildir, when it is installed: the demo then talks to what most mail hosts run.
 */
import { spawn } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Duplex } from 'node:stream';
import { DOVECOT_PROBE_MS } from '../limits.ts';
import { findProgram } from './find-program.ts';
import type { SampleMessage } from './sample-messages.ts';

/** Where distributions and Homebrew keep it. */
const PLACES = ['/usr/lib/dovecot/imap', '/usr/libexec/dovecot/imap', '/usr/local/libexec/dovecot/imap'];

/** Runs imap on a stream and gives its exit status. Never rejects. */
export type RunImapd = (line: Duplex) => Promise<number>;

/**
 * Finds Dovecot's imap, fills a Maildir under `dir` and tries it once. Returns undefined when there is none or when
 * this one does not start on its own (an unknown configuration format): the built-in server does instead.
 */
export async function openDovecot(
  dir: string,
  user: string,
  messages: readonly SampleMessage[],
): Promise<RunImapd | undefined> {
  const program = await findProgram(PLACES);
  if (program === undefined) return undefined;
  const maildir = join(dir, 'Maildir');
  for (const part of ['cur', 'new', 'tmp']) await mkdir(join(maildir, part), { recursive: true });
  for (const [index, { date, raw }] of messages.entries()) {
    const name = `${Math.floor(date.getTime() / 1000)}.M${index}.demo`;
    await writeFile(join(maildir, 'new', name), raw.toString('latin1').replaceAll('\r\n', '\n'));
  }
  const config = join(dir, 'dovecot.conf');
  await writeFile(
    config,
    [
      `base_dir=${dir}`,
      `state_dir=${dir}`,
      `log_path=${join(dir, 'dovecot.log')}`,
      `mail_location=maildir:${maildir}`,
      'protocols=',
      'ssl=no',
      // There is no statistics process to report to.
      'stats_writer_socket_path=',
      '',
    ].join('\n'),
  );
  const run: RunImapd = (line) => runProgram(program, ['-c', config], { HOME: dir, USER: user }, line);
  return (await greets(run)) ? run : undefined;
}

function runProgram(
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  line: Duplex,
): Promise<number> {
  return new Promise((resolve) => {
    const child = spawn(program, args, { env: { PATH: '/usr/bin:/bin', ...env }, stdio: 'pipe' });
    // Its own end, not a broken pipe, is what counts.
    child.stdin.on('error', () => {});
    child.on('error', () => resolve(1));
    child.on('close', (code) => resolve(code ?? 1));
    child.stderr.resume();
    line.pipe(child.stdin);
    line.on('close', () => child.kill());
    child.stdout.pipe(line, { end: false });
  });
}

/** Starts it with a LOGOUT and looks at its first words. */
async function greets(run: RunImapd): Promise<boolean> {
  let said = '';
  const line = new Duplex({
    read() {},
    write(chunk, _encoding, done) {
      said += String(chunk);
      done();
    },
  });
  line.push('a LOGOUT\r\n');
  line.push(null);
  const timer = setTimeout(() => line.destroy(), DOVECOT_PROBE_MS);
  await run(line);
  clearTimeout(timer);
  return said.startsWith('* PREAUTH');
}
