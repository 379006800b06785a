import { test } from 'tap'
import { parseGatewayOptions } from '../src/gateway/options.ts'

test('without arguments all rows are measured', async (t) => {
  t.strictSame(parseGatewayOptions([]), { rounds: 5, requests: 60_000, only: undefined, profile: undefined })
})

test('rows, rounds and requests can be chosen', async (t) => {
  const args = ['--only', 'ours,envoy', '--rounds', '3', '--requests', '50000', '--profile', 'ours']
  t.strictSame(parseGatewayOptions(args), { rounds: 3, requests: 50_000, only: ['ours', 'envoy'], profile: 'ours' })
  t.equal(parseGatewayOptions(['--help']), 'help')
})

test('what is wrong is named', async (t) => {
  t.throws(() => parseGatewayOptions(['--only', 'ours,apache']), /--only: there is no "apache" among ours, /)
  t.throws(() => parseGatewayOptions(['--profile', 'nginx']), /--profile: there is no "nginx"/)
  for (const bad of ['0', '1.5', 'many', '101', '']) {
    t.throws(() => parseGatewayOptions(['--rounds', bad]), /--rounds is a whole number from 1 to 100/)
  }
  t.throws(() => parseGatewayOptions(['--fast']), /--fast/)
})
