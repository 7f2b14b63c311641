/** Mail for this alias that has not been sent. It keeps no mail from opening, but its writer believes it gone. */
import type { Alias } from '../../alias/alias.ts';
import { Failure } from '../../errors.ts';
import type { Settings } from '../../settings.ts';
import { countMail, describeMail } from '../waiting-mail.ts';
import { type Finding, warned } from './finding.ts';

/** No finding where none waits. */
export function examineQueue({ name }: Alias, settings: Settings): Finding[] {
  const mail = countMail(settings, name);
  if (mail instanceof Failure) return [warned('queue', mail.message, mail.hint)];
  const text = describeMail(mail);
  return text === undefined ? [] : [warned('queue', text, `run: pine-rshctl queue list ${name}`)];
}
