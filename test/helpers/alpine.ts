/** The real Alpine on a screen, with a .pinerc of its own that leads straight into a remote INBOX. */
import { programPath } from './requirements.ts';
import type { Scope } from './scope.ts';
import { openScreen, type Screen } from './screen.ts';
import type { TempHome } from './temp-home.ts';
import type { WaitOptions } from './wait.ts';

/**
 * For names that are no hosts: no search domain of this network may make one of them a host, and a name server that
 * does not answer may not cost more than a second.
 */
export const NO_SUCH_HOST_ENV = { LOCALDOMAIN: 'invalid', RES_OPTIONS: 'timeout:1 attempts:1' };

export interface AlpineOptions {
  /** The part of a folder name in braces: `{work/secure/user=pat}`. */
  readonly mailbox: string;
  /** Absolute; Alpine ignores any other. */
  readonly rshPath: string;
  /** More lines for .pinerc. */
  readonly pinerc?: readonly string[];
  /** Each a name, a blank and a place; without them the folders of `mailbox`. */
  readonly collections?: readonly string[];
}

export interface Alpine extends Screen {
  /** Answers the prompt that contains `prompt` with a line of text. */
  answer(prompt: string, text: string): Promise<void>;
  /** Puts the cursor on a message of the index. */
  jumpTo(number: number): Promise<void>;
  /** Opens a folder by name from any screen that offers Goto. */
  goTo(folder: string): Promise<void>;
  /** Quits and gives the exit status. */
  quit(options?: WaitOptions): Promise<number>;
}

/** Starts Alpine with INBOX open; wait for what it shows. */
export function openAlpine(scope: Scope, home: TempHome, options: AlpineOptions): Alpine {
  writePinerc(home, options);
  return runAlpine(scope, home, [programPath('alpine'), '-i']);
}

/** Starts Alpine by a command line of its own, with whatever .pinerc there is. */
export function runAlpine(scope: Scope, home: TempHome, [command = '', ...words]: readonly string[]): Alpine {
  const screen = openScreen(scope, command, words, { env: home.env });
  const answer = async (prompt: string, text: string): Promise<void> => {
    await screen.waitFor(prompt);
    screen.type(text);
    await screen.waitFor(new RegExp(`${escapePattern(prompt)}.*${escapePattern(text)}`));
    screen.keys('Enter');
  };
  return {
    ...screen,
    answer,
    jumpTo: async (number) => {
      screen.type('J');
      await answer('Message number to jump to :', String(number));
      await screen.waitFor(new RegExp(`(?:Message|Msg) +${number.toLocaleString('en-US')} of`));
    },
    goTo: async (folder) => {
      screen.type('g');
      await answer('GOTO folder', folder);
    },
    quit: async (wait) => {
      screen.type('q');
      await screen.waitFor('Really quit Alpine?');
      screen.type('y');
      return await screen.waitForExit(wait);
    },
  };
}

/**
 * Writes .pinerc and gives its path. Without the last two settings Alpine starts with a greeting to new users and a
 * question about old sent-mail.
 */
export function writePinerc(home: TempHome, options: AlpineOptions): string {
  const { mailbox, rshPath, pinerc = [], collections = [`Mail ${mailbox}[]`] } = options;
  const lines = [
    'personal-name=Pat',
    'user-domain=example.org',
    `inbox-path=${mailbox}INBOX`,
    `folder-collections=${collections.join(', ')}`,
    `rsh-path=${rshPath}`,
    'rsh-open-timeout=15',
    'ssh-path=',
    'default-fcc=""',
    ...pinerc,
    'last-version-used=6.26',
    'last-time-prune-questioned=199.12',
    '',
  ];
  return home.writeFile('.pinerc', lines.join('\n'));
}

function escapePattern(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
