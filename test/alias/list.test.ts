import assert from 'node:assert/strict';
import { chmodSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { type AliasList, listAliases } from '../../src/alias/list.ts';
import { forgetFolders } from '../../src/alias/trusted-file.ts';
import { openTempConfig, type TempConfig } from './temp-config.ts';

function list(config: TempConfig): AliasList {
  forgetFolders();
  return listAliases(config.settings);
}

/** `name`, or `name (shadowed)`, or `name: code`. */
function names({ aliases }: AliasList): string[] {
  return aliases.map(
    ({ name, shadowed, problem }) =>
      `${name}${shadowed ? ' (shadowed)' : ''}${problem ? `: ${problem.code}` : ''}`,
  );
}

describe('the list of aliases', () => {
  it('is empty without folders', (t) => {
    assert.deepEqual(list(openTempConfig(t)), { aliases: [], problems: [] });
  });

  it("has the user's and the system's, and tells which are shadowed", (t) => {
    const config = openTempConfig(t);
    config.alias('work', 'HOSTNAME=w.example.org\nALIASES=mail,*.example.org\n');
    config.alias('Home', '');
    config.alias('pat@work', '');
    const system = config.systemAlias('home', 'PORT=2\n');
    config.systemAlias('lab', '');
    const found = list(config);
    assert.deepEqual(names(found), ['Home', 'pat@work', 'work', 'home (shadowed)', 'lab']);
    assert.deepEqual(found.aliases[2]?.aliases, ['mail', '*.example.org']);
    assert.equal(found.aliases[2]?.alias?.hostname, 'w.example.org');
    assert.equal(found.aliases[1]?.alias?.user, 'pat');
    assert.equal(found.aliases[3]?.file, system);
  });

  it('tells which of two spellings is found', (t) => {
    const config = openTempConfig(t);
    config.alias('Work', '');
    config.alias('work', '');
    assert.deepEqual(names(list(config)), ['work', 'Work (shadowed)']);
  });

  it('shows what is wrong with each', (t) => {
    const config = openTempConfig(t);
    config.alias('bad', 'ALIASES=mail\nPORT=x\n');
    config.alias('cert', 'ALIASES=mail\nCERTIFICATE_FILE=/x\n');
    chmodSync(config.alias('open', ''), 0o666);
    config.alias('work', '');
    symlinkSync('/nonexistent', join(config.user, 'hosts', 'gone.env'));
    const found = list(config);
    assert.deepEqual(names(found), [
      'bad: alias-syntax',
      'cert: alias-syntax',
      'gone: file-unusable',
      'open: file-untrusted',
      'work',
    ]);
    assert.deepEqual(found.aliases[1]?.aliases, ['mail'], 'the file itself can be read');
    assert.deepEqual(found.problems, []);
  });

  it('goes on without a broken defaults.env, and says so', (t) => {
    const config = openTempConfig(t);
    config.alias('work', '');
    config.defaults('PORT=x\n');
    const found = list(config);
    assert.deepEqual(names(found), ['work']);
    assert.deepEqual(
      found.problems.map(({ code }) => code),
      ['alias-syntax'],
    );
  });

  it('tells once that a folder cannot be trusted', (t) => {
    const config = openTempConfig(t);
    config.alias('work', '');
    config.systemAlias('lab', '');
    chmodSync(config.user, 0o777);
    const found = list(config);
    assert.deepEqual(names(found), ['lab']);
    assert.deepEqual(
      found.problems.map(({ message }) => message),
      [`${config.user}: others can write to it`],
    );
  });
});
