/**
 * The entry of both programs: acts as pine-rsh or pine-rshctl by the name it was called by, and sets the exit status.
 */
import { compileAsUsual } from './just-in-time.ts';
import { calledAs, programPath } from './program.ts';
import { readSettings } from './settings.ts';
import { takeWarm } from './take-warm.ts';

async function main(): Promise<number> {
  const args = process.argv.slice(2);
  if (calledAs().startsWith('pine-rshctl')) {
    compileAsUsual();
    const { runProgram } = await import('./ctl-args.ts');
    const { versionText } = await import('./usage.ts');
    return runProgram(args, readSettings, { path: programPath(), version: versionText('pine-rshctl') });
  }
  // Exactly two words: whatever a mail client passes is longer.
  if (args[0] === '--broker' && args.length === 2) {
    compileAsUsual();
    const { runBroker } = await import('./broker/run.ts');
    return runBroker();
  }
  if (args[0] === '--flush' && args[1] !== undefined && args.length === 2) {
    compileAsUsual();
    const { runFlusher } = await import('./mail/run-flusher.ts');
    return runFlusher(args[1]);
  }
  const start = await takeWarm(args);
  const { runSession } = await import('./session.ts');
  return runSession(args, readSettings, start);
}

// Explicitly: an open stdin would keep the process.
process.exit(await main());
