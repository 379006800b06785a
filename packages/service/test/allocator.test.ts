import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { ALLOCATOR } from '../src/allocator.ts'

t.test('the image sets the same as npm start', async (t) => {
  const text = await readFile(join(import.meta.dirname, '../../../infra/docker/Dockerfile'), 'utf8')
  const set = [...text.matchAll(/(MALLOC_\w+)=(\d+)/g)].map(([, name, value]) => [name, value])
  t.same(Object.fromEntries(set), ALLOCATOR)
})
