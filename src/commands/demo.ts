/**
 * `pine-rshctl demo`: shows pine-rsh at work with nothing set up.
 */
import { declareCommand } from './command.ts';

export const demoCommand = declareCommand({
  name: 'demo',
  summary: 'show pine-rsh at work on a mail host inside this program',
  operands: {},
  options: {
    alpine: { kind: 'switch', summary: 'read the mail in Alpine instead' },
    keep: { kind: 'switch', summary: 'leave the keys, the alias file and the log behind' },
  },
  examples: [
    ['', 'needs nothing and changes nothing'],
    ['--alpine', 'needs Alpine and a terminal'],
  ],
  run: async ({ settings, programPath, output }, args) => {
    // Brings an SSH server with it, which no other command needs.
    const { runDemo } = await import('./demo/run.ts');
    return await runDemo(settings, { ...args, programPath }, output);
  },
});
