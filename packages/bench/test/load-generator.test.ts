import { test } from 'tap'
import { parseWrk, wrkScript } from '../src/gateway/load-generator.ts'

const HEAD = `Running 3s test @ http://127.0.0.1:20001/v1/posts/1
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     2.31ms    1.90ms  61.02ms   97.01%
    Req/Sec    14.63k     1.02k   16.10k    70.00%
  Latency Distribution
     50%    2.05ms 
     75%  980.00us
     90%    3.11ms
     99%    1.20s
  43781 requests in 3.01s, 43.80MB read
`
const TAIL = `Requests/sec:  14545.18
Transfer/sec:     14.55MB
`

test('what wrk prints is read, whatever the units', async (t) => {
  t.strictSame(parseWrk(HEAD + TAIL), { requests: 43_781, seconds: 3.01, p50Ms: 2.05, p99Ms: 1_200, failures: 0 })
})

test('bad answers and socket errors are failures', async (t) => {
  const errors = '  Socket errors: connect 1, read 20, write 300, timeout 4000\n  Non-2xx or 3xx responses: 50000\n'
  t.equal(parseWrk(HEAD + errors + TAIL).failures, 54_321)
})

test('something else is no result', async (t) => {
  t.throws(() => parseWrk('unable to connect to 127.0.0.1:1 Connection refused\n'), /printed something else/)
})

test('several requests are a script of wrk, whatever is in them', async (t) => {
  const body = JSON.stringify({ text: 'says "é"\n' })
  const script = wrkScript([
    { method: 'GET', path: '/a', headers: { authorization: 'Bearer x' } },
    { method: 'POST', path: '/b', headers: {}, body }
  ])
  t.match(script, 'all[#all + 1] = wrk.format("GET", "/a", {["authorization"]="Bearer x"}, nil)')
  const text = /wrk\.format\("POST", "\/b", \{\}, "(.*)"\)$/m.exec(script)?.[1] ?? ''
  const read = text.replace(/\\(\d{3})/g, (_, code) => String.fromCharCode(Number(code)))
  t.equal(Buffer.from(read, 'latin1').toString(), body, 'Lua reads the bytes that were given')
})
