import type { Instance, TrafficRules } from '@skerry/service'
import t from 'tap'
import { parseTraffic } from '../src/traffic/parse.ts'
import { countsOf, report } from '../src/traffic/report.ts'
import { runCli } from './helpers/cli.ts'

const instance = (service: string, version: string, weight = 1): Instance => ({
  service,
  version,
  instance: String(Math.random()).slice(2),
  url: 'http://127.0.0.1:1',
  weight,
  prefixes: []
})

t.test('a command line is a change of rules', async (t) => {
  const apply = (rules: TrafficRules, args: string[], options: Parameters<typeof parseTraffic>[1] = {}) =>
    parseTraffic(['content', ...args], options).change?.(rules)
  t.same(apply({}, ['2.1.0=5%']), { weights: { '2.1.0': 5 } })
  t.same(apply({ weights: { '1.0.0': 9 } }, ['2.1.0=0.5', '2.2.0=10%']), { weights: { '2.1.0': 0.5, '2.2.0': 10 } })
  const canary = { weights: { '2.1.0': 5 } }
  t.same(apply(canary, [], { header: ['X-Tester=2.1.0', 'x-qa=2.2.0'] }), {
    ...canary,
    headers: { 'x-tester': '2.1.0', 'x-qa': '2.2.0' }
  })
  t.same(apply(canary, [], { mirror: '2.2.0' }), { ...canary, mirror: { version: '2.2.0', percent: 100 } })
  t.same(apply(canary, [], { mirror: '2.2.0=10%' }), { ...canary, mirror: { version: '2.2.0', percent: 10 } })
  const all = { ...canary, headers: { 'x-tester': '2.1.0' }, mirror: { version: '2.2.0', percent: 100 } }
  t.same(apply(all, [], { header: ['none'], mirror: 'none' }), canary)
  t.equal(apply({ headers: all.headers }, [], { header: ['none'] }), undefined)
  t.equal(apply(all, [], { reset: true }), undefined)
  t.match(parseTraffic([], {}), { service: undefined, change: undefined })
  t.match(parseTraffic(['content'], {}), { service: 'content', change: undefined })

  const bad: Array<[string[], Parameters<typeof parseTraffic>[1], RegExp]> = [
    [[], { reset: true }, /give the name of the service/],
    [['2.1.0=5%'], {}, /2\.1\.0=5% is not the name of a service\. Give the service first/],
    [['content', '2.1.0'], {}, /2\.1\.0 is not a share of a version: write it as 2\.1\.0=5%/],
    [['content', '2.1.0=101%'], {}, /give a percentage from 0 to 100/],
    [['content', '2.1.0=-1'], {}, /give a percentage from 0 to 100/],
    [['content', '2.1.0=x'], {}, /give a percentage from 0 to 100/],
    [['content', '2.1.0=60%', '2.2.0=50%'], {}, /add up to 110 %/],
    [['content', '2.1.0=5%'], { reset: true }, /--reset ends all rules: give it alone/],
    [['content'], { header: ['x-tester'] }, /--header x-tester does not fit: write it as --header x-tester=2\.1\.0/],
    [['content'], { mirror: '=5%' }, /--mirror =5% does not fit: write it as/],
    [['content'], { mirror: '2.2.0=200%' }, /give a percentage/]
  ]
  for (const [args, options, message] of bad) t.throws(() => parseTraffic(args, options), message)
})

t.test('the report tells what each version is to get, and what it got', async (t) => {
  const metric = (version: string, way: string, gateway: string, count: number) =>
    `skerry_gateway_version_requests{upstream="content",version="${version}",way="${way}",service="gateway",instance="${gateway}"} ${count}\n`
  const counts = countsOf([
    `# TYPE skerry_gateway_version_requests gauge\n${metric('2.0.0', 'chosen', '1', 90)}${metric('2.1.0', 'chosen', '1', 4)}`,
    metric('2.1.0', 'chosen', '2', 6) + metric('2.2.0', 'mirrored', '2', 7),
    ''
  ])
  const text = report(
    [
      instance('content', '2.0.0', 3),
      instance('content', '2.0.0'),
      instance('content', '2.1.0'),
      instance('auth', '1.0.0', 3),
      instance('auth', '1.1.0')
    ],
    [
      {
        service: 'content',
        rules: { weights: { '2.1.0': 5 }, headers: { 'x-tester': '2.1.0' }, mirror: { version: '2.2.0', percent: 10 } }
      }
    ],
    counts
  )
  t.equal(
    text,
    [
      'service  version  instances  share  got               rules',
      'auth     1.0.0    1          75 %   -',
      'auth     1.1.0    1          25 %   -',
      'content  2.0.0    2          95 %   90 % (90)',
      'content  2.1.0    1          5 %    10 % (10)         weight 5 %, header x-tester',
      'content  2.2.0    none       -      0 % (0) 7 copies  mirror of 10 %'
    ].join('\n')
  )
  t.equal(report([], [], new Map()), 'no service is there, and no rule')
})

t.test('there is no traffic where nothing runs', async (t) => {
  t.match(await runCli(['traffic'], { SKERRY_HOME: t.testdir() }), {
    code: 1,
    errors: /^skerry: nothing runs in .*: start it with `npm start`\n$/
  })
})
