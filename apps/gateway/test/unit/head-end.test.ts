import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { headEnd } from '../../src/upstreams/wire/head-end.ts'

const text = fc.string({ unit: fc.constantFrom('\r', '\n', '\r\n', 'a'), maxLength: 40 })

t.test('the end of a head is where a search finds it', async (t) => {
  let found = 0
  fc.assert(
    fc.property(text, text, text, (before, head, behind) => {
      const bytes = Buffer.from(before + head + behind, 'latin1')
      const at = head.indexOf('\r\n\r\n')
      if (at !== -1) found++
      assert.equal(headEnd(bytes, before.length, before.length + head.length), at === -1 ? -1 : before.length + at)
    }),
    { numRuns: 20_000 }
  )
  t.ok(found > 1_000, 'many have one')
})
