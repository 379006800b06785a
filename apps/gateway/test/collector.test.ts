import type { Instance } from '@skerry/service'
import t from 'tap'
import { createCollector } from '../src/documents/collector.ts'

const instance = (contract: string): Instance => ({
  ...{
    service: 'ships',
    version: '1.0.0',
    instance: '1',
    url: 'http://127.0.0.1:1',
    weight: 1,
    prefixes: ['/v1/ships']
  },
  ...{ ops: 'http://127.0.0.1:2', contract }
})

t.test('an instance that has no good document is asked ever less often, and told of once', async (t) => {
  let time = 0
  let reason = 'it is not the one that was announced'
  const asked: number[] = []
  const told: string[] = []
  const collector = createCollector<string>({
    source: {
      announced: (one) => one.contract,
      async fetch(_ops, contract) {
        asked.push(time / 1_000)
        if (contract === 'good') return 'document'
        throw new Error(reason)
      }
    },
    log: { warn: ({ err }: { err: Error }) => told.push(err.message) } as never,
    ...{ timeoutMs: 60_000, maxBytes: 1_000, maxServices: 10, keepMs: 600_000, now: () => time }
  })
  for (; time <= 1_200_000; time += 5_000) await collector.collect([instance('bad')])
  t.strictSame(asked, [0, 5, 15, 35, 75, 155, 315, 615, 915])
  t.strictSame(told, [reason])
  reason = 'it was answered with 503'
  time += 300_000
  await collector.collect([instance('bad')])
  t.equal(told.length, 2, 'another reason is told')
  t.equal(
    (await collector.collect([instance('good')])).get('ships')?.document,
    'document',
    'another one is asked at once'
  )
})
