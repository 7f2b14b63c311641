/** The words of a text that blanks separate, as a shell would split it without quotes. Pure. */
export function splitWords(text: string): string[] {
  const words: string[] = [];
  for (const word of text.split(' ')) if (word !== '') words.push(word);
  return words;
}
