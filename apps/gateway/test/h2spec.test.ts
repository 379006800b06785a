import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { faultRun, missingCommand, skipWithout } from '@skerry/testing'
import t, { type Test } from 'tap'
import { startGateway } from './fuzz/gateway.ts'
import { startCalm } from './fuzz/well-behaved.ts'

const run = faultRun({ short: 1, long: 1 })
t.setTimeout(run.limitMs)

/** All cases of h2spec 2.6: when fewer ran, something else than the gateway was tested. */
const CASES = 145

/** What h2spec expects and does not get, and why that is right. */
const OTHERWISE: Readonly<Record<string, string>> = {
  'http2/6.7 Sends a PING frame with ACK':
    'Node ends a connection with an acknowledgement that it is not waiting for; what h2spec forbids, an answer to it, is not sent',
  'http2/6.9.1 Sends multiple WINDOW_UPDATE frames increasing the flow control window to above 2^31-1 on a stream':
    'the gateway ends a connection that makes it reset streams (CVE-2025-8671); RFC 9113, 5.4.1, lets an endpoint treat a stream error as one of the connection'
}
const OTHERWISE_PLAIN: Readonly<Record<string, string>> = {
  ...OTHERWISE,
  'http2/3.5 Sends invalid connection preface':
    'the port without a certificate speaks HTTP/1.1 as well: what is no preface of HTTP/2 is answered 400 in it, and closed'
}

/** The names of the cases that failed, and how many ran, out of a JUnit report. */
function readReport(xml: string): { ran: number; failed: string[] } {
  const cases = [...xml.matchAll(/<testcase package="([^"]*)" classname="([^"]*)"[^>]*?(?:\/>|>(.*?)<\/testcase>)/gs)]
  return {
    ran: cases.length,
    failed: cases
      .filter(([, , , inside = '']) => /<(failure|error)/.test(inside))
      .map(([, section, name]) => `${section} ${name}`)
  }
}

async function h2spec(t: Test, port: number, secure: boolean): Promise<{ ran: number; failed: string[] }> {
  const report = join(t.testdir({}), 'report.xml')
  const options = ['-h', '127.0.0.1', '-p', String(port), '-P', '/calm/1', '-o', '5', '-j', report]
  const child = spawn('h2spec', secure ? [...options, '-t', '-k'] : options, { stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => child.kill())
  const [said] = await Promise.all([text(child.stdout), once(child, 'close')])
  t.comment(said.trim().split('\n').at(-1) ?? '')
  return readReport(await readFile(report, 'utf8'))
}

const missing = await missingCommand('h2spec', 'golang, then go install github.com/summerwind/h2spec/cmd/h2spec@latest')

t.test('a report', (t) => {
  const xml = `<testsuite tests="3"><testcase package="a/1" classname="one" time="0.1"></testcase>
    <testcase package="a/2" classname="two" time="0.1"><failure>no</failure></testcase><testcase package="a/3" classname="three"/></testsuite>`
  t.same(readReport(xml), { ran: 3, failed: ['a/2 two'] })
  t.end()
})

const skip = run.long ? skipWithout(missing) : { skip: 'takes half a minute: npm run test:faults -- gateway-h2spec' }
t.test('round 1', skip, async (t) => {
  const calm = await startCalm()
  t.teardown(() => {
    calm.server.closeAllConnections()
    calm.server.close()
  })
  for (const secure of [true, false]) {
    const gateway = await startGateway({ hostile: calm.url, calm: calm.url }, secure)
    t.teardown(() => gateway.stop())
    const where = secure ? 'over TLS' : 'with prior knowledge'
    const otherwise = secure ? OTHERWISE : OTHERWISE_PLAIN
    const { ran, failed } = await h2spec(t, gateway.port, secure)
    t.equal(ran, CASES, `all cases ran ${where}`)
    for (const [name, why] of Object.entries(otherwise))
      if (failed.includes(name)) t.comment(`${where}, not as ${name}: ${why}`)
    t.same(
      failed.filter((name) => otherwise[name] === undefined),
      [],
      `the gateway is as h2spec expects ${where}`
    )
    t.equal(gateway.death(), undefined, `it lives ${where}`)
  }
})
