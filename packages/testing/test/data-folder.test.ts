import { rmdir, statfs } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import t from 'tap'
import { makeDataFolder } from '../src/data-folder.ts'

const skip = await statfs('/dev/shm').then(
  () => false,
  () => 'there is no RAM disk'
)

t.test('data of stores is on the RAM disk while it and the memory have room', { skip }, async (t) => {
  for (const [room, parent] of [
    [{ disk: 1, memory: 1 }, '/dev/shm'],
    [{ disk: 1e18, memory: 1 }, tmpdir()],
    [{ disk: 1, memory: 1e18 }, tmpdir()]
  ] as const) {
    const made = await makeDataFolder('skerry-test-', room)
    await rmdir(made)
    t.equal(made.slice(0, -6), `${parent}/skerry-test-`, JSON.stringify(room))
  }
})
