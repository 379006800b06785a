import { createMetrics } from '@skerry/service'
import t from 'tap'
import { BOUNDS, createBounds } from '../src/bounds.ts'
import { GatewayConfigSchema } from '../src/config.ts'

t.test('a bound that is met is counted each time, and logged now and then', async (t) => {
  const lines: unknown[] = []
  let time = 0
  const metrics = createMetrics({ service: 'gateway', instance: '1', processMetrics: false })
  const met = createBounds({ warn: (line: unknown) => lines.push(line) } as never, metrics, () => time)
  met('BODIES_BYTES', '198.51.100.7')
  met('BODIES_BYTES', '198.51.100.8')
  met('UNREAD_BYTES')
  time = 9_999
  met('BODIES_BYTES')
  t.strictSame(lines.splice(0), [
    { bound: 'BODIES_BYTES', times: 1, address: '198.51.100.7' },
    { bound: 'UNREAD_BYTES', times: 1, address: undefined }
  ])
  time = 10_000
  met('BODIES_BYTES', '198.51.100.9')
  t.strictSame(lines, [{ bound: 'BODIES_BYTES', times: 3, address: '198.51.100.9' }])
  const text = await metrics.text()
  t.match(text, /skerry_gateway_bounds_total\{bound="BODIES_BYTES"[^}]*\} 4\n/)
  t.match(text, /skerry_gateway_bounds_total\{bound="UNREAD_BYTES"[^}]*\} 1\n/)
})

t.test('each is the name of a setting', (t) => {
  for (const bound of BOUNDS) t.ok(bound in GatewayConfigSchema.properties, bound)
  t.end()
})
