import t from 'tap'
import { returnMemory } from '../src/return-memory.ts'

const MB = 1_048_576

t.test('memory is given back once a burst has gone, and not again until it has grown', (t) => {
  const state = { rss: 100 * MB, busy: 0.01, collected: 0, after: 110 * MB }
  const memory = returnMemory({
    rss: () => state.rss,
    busy: () => state.busy,
    collect: () => {
      state.collected++
      state.rss = state.after
    }
  })
  t.teardown(() => memory.stop())
  state.rss = 120 * MB
  t.equal(memory.look(), false, 'what is usual stays')
  Object.assign(state, { rss: 400 * MB, busy: 0.6 })
  t.equal(memory.look(), false, 'not while there is work')
  state.busy = 0.01
  t.equal(memory.look(), true)
  t.equal(state.collected, 1)
  t.equal(memory.look(), false)
  state.rss = 130 * MB
  t.equal(memory.look(), false)
  state.rss = 140 * MB
  t.equal(memory.look(), true, 'from where it is now on')
  state.rss = 60 * MB
  memory.look()
  state.rss = 90 * MB
  t.equal(memory.look(), true, 'or from where it was since')
  t.end()
})
