/**
 * `demo --alpine`: Alpine itself on the demo's mailbox, with a .pinerc of its own.
 */
import { spawn } from 'node:child_process';
import { symlink, writeFile } from 'node:fs/promises';
import { delimiter, isAbsolute, join } from 'node:path';
import { Failure } from '../../errors.ts';
import type { Settings } from '../../settings.ts';
import type { Output } from '../output.ts';
import { formatFolderLines, formatProgramLines, isUnsafeProgramPath } from '../pinerc-lines.ts';
import { findProgram } from './find-program.ts';
import { DEMO_ALIAS, DEMO_USER, type DemoHome } from './home.ts';

/** Alpine passes the canonical name: a host `demo` in the search domain of this network must not become the demo. */
const NO_SEARCH_DOMAIN = { LOCALDOMAIN: 'invalid', RES_OPTIONS: 'timeout:1 attempts:1' };

/**
 * Runs Alpine on our terminal until the person leaves it; gives its exit status.
 *
 * @throws {Failure} `alpine-missing`, `no-terminal`
 */
export async function runAlpine(
  home: DemoHome,
  settings: Settings,
  programPath: string,
  output: Output,
  signal: AbortSignal,
): Promise<number> {
  const dirs = settings.path.split(delimiter).filter(isAbsolute);
  const alpine = await findProgram(dirs.map((dir) => join(dir, 'alpine')));
  if (alpine === undefined) throw new Failure('alpine-missing', {});
  if (!output.interactive) {
    const remedy = 'leave out --alpine, or run the demo on a terminal';
    throw new Failure('no-terminal', { what: 'alpine', remedy });
  }
  const pinerc = join(home.dir, 'pinerc');
  await writeFile(pinerc, await formatPinerc(home, programPath), { mode: 0o600 });
  // SIGINT and SIGHUP reach Alpine from the terminal itself; SIGTERM is passed on by `signal`.
  const child = spawn(alpine, ['-p', pinerc, '-i'], {
    env: { ...home.env, ...NO_SEARCH_DOMAIN },
    cwd: home.dir,
    stdio: 'inherit',
    signal,
  });
  return await new Promise((resolve, reject) => {
    child.on('error', (error) => (signal.aborted ? undefined : reject(error)));
    child.on('close', (code) => resolve(code ?? 1));
  });
}

async function formatPinerc(home: DemoHome, programPath: string): Promise<string> {
  const folder = { label: DEMO_ALIAS, host: DEMO_ALIAS, user: DEMO_USER };
  let program = programPath;
  if (isUnsafeProgramPath(program)) {
    program = join(home.dir, 'pine-rsh');
    await symlink(programPath, program);
  }
  return [
    'personal-name=Pat',
    'user-domain=example.org',
    ...formatProgramLines(program),
    ...formatFolderLines([folder]),
    // No mail leaves the demo.
    'smtp-server=127.0.0.1:9',
    'default-fcc=sent-mail',
    // Without these Alpine greets like on its first run and asks about old mail.
    'last-version-used=6.26',
    'last-time-prune-questioned=199.12',
    '',
  ].join('\n');
}
