import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { editDistance, nearestName } from '../../src/config/nearest-name.ts';

describe('nearest name', () => {
  it('counts insertions, deletions, changes and swapped neighbours as one', () => {
    assert.equal(editDistance('kafka', 'kafka'), 0);
    assert.equal(editDistance('kafka', 'kakfa'), 1);
    assert.equal(editDistance('', 'abc'), 3);
    assert.equal(editDistance('kitten', 'sitting'), 3);
  });

  it('finds the least different name and nothing where all are far', () => {
    const known = ['telefonos', 'fax', 'direccion'];
    assert.equal(nearestName('telefono', known), 'telefonos');
    assert.equal(nearestName('DIRECION', known), 'direccion');
    assert.equal(nearestName('observacion', known), undefined);
  });
});
