import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readOptions } from '../../../embedded/start/options.ts';

describe('the options of npm start', () => {
  it('have defaults', () => {
    const { ports, fresh, epsas, traffic, seed } = readOptions([]) as Exclude<ReturnType<typeof readOptions>, string>;
    assert.deepEqual(
      { ports, fresh, epsas, traffic, seed },
      { ports: 'usual', fresh: false, epsas: 3000, traffic: 0, seed: undefined },
    );
  });

  it('are read', () => {
    assert.deepEqual(
      readOptions('--fresh --epsas 20 --section-rows 3 --seed 7 --traffic 0.5 --dir /state --free-ports'.split(' ')),
      {
        dir: '/state',
        ports: 'free',
        fresh: true,
        epsas: 20,
        sectionRows: 3,
        seed: 7,
        traffic: 0.5,
      },
    );
  });

  it('are refused by name', () => {
    assert.match(readOptions(['--epsas', 'many']) as string, /--epsas must be a whole number, not many/);
    assert.match(readOptions(['--trafic', '5']) as string, /--trafic/);
  });
});
