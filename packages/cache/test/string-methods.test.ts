import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t from 'tap'

t.test('methods of strings are found at once although ioredis derives a class from String', async (t) => {
  setFlagsFromString('--allow-natives-syntax')
  const isFast = runInNewContext('(object) => %HasFastProperties(object)') as (object: object) => boolean
  t.equal(isFast(String.prototype), true)
  await import('ioredis')
  t.equal(isFast(String.prototype), false, 'ioredis by itself; once this is no longer so, nothing need be done')
  await import('../src/index.ts')
  t.equal(isFast(String.prototype), true)
})
