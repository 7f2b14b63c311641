/** A few of the bytes that a stranger sent, for a message. Pure. */

/** So many bytes tell what kind of file it is. */
const BYTES_SHOWN = 8;

/** Of text fewer than every twentieth byte is a control character beside these. */
const CONTROLS_RATIO = 20;
const CONTROLS_OF_TEXT = Buffer.from('\x07\b\t\n\v\f\r\x1b');
const BLANK = 0x20;
const DEL = 0x7f;

/**
 * Text as it is, which whoever shows it escapes; of anything else only its beginning, in hex: escaped it would fill a
 * screen and tell no more.
 *
 * @param latin1 each byte a character
 */
export function sampleText(latin1: string): string {
  const bytes = Buffer.from(latin1, 'latin1');
  const controls = bytes.filter((byte) => byte === DEL || (byte < BLANK && !CONTROLS_OF_TEXT.includes(byte)));
  if (controls.length * CONTROLS_RATIO <= bytes.length) return latin1;
  const hex = bytes.toString('hex', 0, BYTES_SHOWN).replace(/..(?=.)/g, '$& ');
  return `no text but ${hex}${bytes.length > BYTES_SHOWN ? ' ...' : ''}`;
}
