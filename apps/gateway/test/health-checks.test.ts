import { waitFor } from '@skerry/testing'
import t from 'tap'
import { Balancer } from '../src/upstreams/balancer.ts'
import { startHealthChecks } from '../src/upstreams/health-check.ts'
import { startOrigin } from './helpers/origin.ts'

t.test('who serves nobody is asked each fourth time, until a check fails', async (t) => {
  const checks = { busy: 0, quiet: 0 }
  const state = { quietAnswers: 200 }
  const busy = await startOrigin(t, 'busy', (_request, response) => {
    checks.busy++
    response.end()
  })
  const quiet = await startOrigin(t, 'quiet', (_request, response) => {
    checks.quiet++
    response.writeHead(state.quietAnswers).end()
  })
  const ejected: string[] = []
  const balancer = new Balancer(
    {
      ...{
        connections: 8,
        maxInFlight: 100,
        maxStreams: 100,
        connectTimeoutMs: 60_000,
        zone: undefined,
        ca: undefined
      },
      ...{
        ejectMs: 60_000,
        ejectLongestMs: 60_000,
        consecutive: 1_000,
        maxShare: 1,
        slowTimes: 1_000,
        slowByMs: 60_000
      },
      ...{ slowStartMs: 0, retries: 0, budgetShare: 0, budgetBurst: 0, hedgeMinMs: 0, hedgeColdMs: 0 },
      ...{ streamMoveMs: 60_000, mirrorInFlight: 0 }
    },
    {
      ...{
        back: () => {},
        moved: () => {},
        retried: () => {},
        hedged: () => {},
        hedgeLost: () => {},
        faulted: () => {}
      },
      ejected: ({ service }) => void ejected.push(service)
    }
  )
  t.teardown(() => balancer.destroy())
  const instanceOf = (service: string, url: string) => ({
    ...{ service, version: '1', instance: 'a', url, weight: 1, prefixes: [`/v1/${service}`] }
  })
  balancer.update([instanceOf('busy', busy.url), instanceOf('quiet', quiet.url)])
  let turns = 0
  // Each turn of the checks asks for all instances once.
  const counted = Object.assign(Object.create(balancer) as Balancer, {
    *checked() {
      turns++
      for (const upstream of balancer.checked()) {
        if (upstream.service === 'busy') upstream.answered(1, performance.now())
        yield upstream
      }
    }
  })
  const health = startHealthChecks(counted, {
    ...{ everyMs: 50, longestMs: 100, timeoutMs: 30_000, path: '/readyz', ca: undefined }
  })
  t.teardown(() => health.close())

  await waitFor(() => checks.busy >= 20 && checks.busy > turns / 2, { message: 'the other is asked each time' })
  t.ok(checks.quiet >= 1)
  t.ok(checks.quiet <= turns / 4 + 1, `${checks.quiet} of ${turns} turns`)

  state.quietAnswers = 503
  await waitFor(() => ejected.includes('quiet'))
  const [failed, from] = [checks.quiet, turns]
  state.quietAnswers = 200
  await waitFor(() => checks.quiet > failed + 1 || turns > from + 40)
  t.ok(checks.quiet > failed, 'it is asked again while it is ejected')
})
