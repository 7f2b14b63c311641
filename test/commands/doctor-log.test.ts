/** What `doctor` says of a log that cannot be written: the one place where a mail client's troubles are told. */
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { examineLog } from '../../src/commands/doctor/log.ts';
import { readSettings } from '../../src/settings.ts';
import { asOrdinaryUser, giveAway, UID } from '../alias/other-user.ts';
import { openTempHome } from '../helpers/temp-home.ts';

function openState(t: TestContext) {
  const home = openTempHome(t);
  const settings = readSettings(home.env);
  mkdirSync(home.stateDir, { recursive: true, mode: 0o700 });
  /** `MARK: TEXT; HINT` of each finding, file names shortened. */
  const examine = (): string[] =>
    examineLog('work', settings).map(({ mark, text, hint }) =>
      `${mark}: ${text}; ${hint}`.replaceAll(home.stateDir, '~'),
    );
  return { home, examine, log: join(home.stateDir, 'log') };
}

const LOST = 'what mail clients cannot show is lost';

test('a log that can be written gets a line, and is no finding', (t) => {
  const { home, examine } = openState(t);
  assert.deepEqual(examine(), []);
  assert.match(home.log(), /^\S+ \d+ doctor alias=work\n$/);
});

test('what is in the place of the log, or of its folder, is named', (t) => {
  const { home, examine, log } = openState(t);
  mkdirSync(log);
  assert.deepEqual(examine(), [
    `warning: ~/log cannot be written (EISDIR): ${LOST}; move away ~/log, which is no file`,
  ]);
  rmSync(log, { recursive: true });
  symlinkSync('/dev/null', log);
  assert.match(examine()[0] ?? '', /\(ELOOP\).*; move away ~\/log, which is no file$/);
  rmSync(home.stateDir, { recursive: true });
  writeFileSync(home.stateDir, '');
  assert.deepEqual(examine(), [
    `warning: ~/log cannot be written (EEXIST): ${LOST}; move away what is in the place of the folder ~`,
  ]);
});

test('a state folder in which nothing may be made is named with its chmod', (t) => {
  const { home, examine } = openState(t);
  if (UID === 0)
    for (const folder of ['', '.local', '.local/state']) chmodSync(join(home.dir, folder), 0o755);
  if (UID === 0) giveAway(home.stateDir);
  chmodSync(home.stateDir, 0o500);
  const [finding = ''] = asOrdinaryUser(() => examine());
  assert.match(
    finding,
    /^warning: ~\/log cannot be written \(EACCES\): .*; .* run: chmod u\+rwx ~; chmod u\+rw ~\/log$/,
  );
});
