import { execFile } from 'node:child_process'
import { mkdir, readdir, readFile, symlink } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { REPOSITORY, VERSION } from '../src/repository.ts'

const run = promisify(execFile)
const skerry = join(REPOSITORY, 'skerry')
const env = { ...process.env, NODE_OPTIONS: '' }

t.test('./skerry works from any folder and through symbolic links', async (t) => {
  const folder = t.testdir({})
  await mkdir(join(folder, 'with space'))
  const absolute = join(folder, 'absolute')
  const onward = join(folder, 'with space', 'onward')
  await symlink(skerry, absolute)
  // A relative link to a link.
  await symlink(relative(join(folder, 'with space'), absolute), onward)
  for (const [command, cwd] of [
    ['./skerry', REPOSITORY],
    [skerry, '/'],
    [absolute, '/'],
    [onward, '/'],
    ['with space/onward', folder]
  ] as const) {
    const { stdout } = await run(command, ['version'], { cwd, env })
    t.equal(stdout, `${VERSION}\n`, `${command} in ${cwd}`)
  }
})

t.test('it passes on arguments as they are, and the exit code', async (t) => {
  const ended = await run(skerry, ['a b', "it's"], { env }).catch((error) => error)
  t.equal(ended.code, 1)
  t.match(ended.stderr, /there is no command "a b"\. See: \.\/skerry help/)
})

t.test('without Node it says what is missing', async (t) => {
  const bin = t.testdir({})
  for (const tool of ['dirname', 'readlink'])
    await symlink((await run('sh', ['-c', `command -v ${tool}`])).stdout.trim(), join(bin, tool))
  const ended = await run('/bin/sh', [skerry, 'version'], { env: { PATH: bin } }).catch((error) => error)
  t.match(ended.stderr, /^skerry: Node\.js 20 or newer is needed[^\n]*\n$/)
  t.equal(ended.code, 1)
})

t.test('help, messages, docs and README name commands as they are typed', async (t) => {
  const files = ['README.md']
  for (const [folder, ending] of [
    ['docs', '.md'],
    ['packages/cli/src', '.ts'],
    ['packages/cli/templates', '.tmpl']
  ] as const)
    for (const path of await readdir(join(REPOSITORY, folder), { recursive: true }))
      if (path.endsWith(ending)) files.push(join(folder, path))
  t.ok(files.length > 50)
  const { commands } = await import('../src/help.ts')
  const bare = new RegExp(`(?<![./\\w-])skerry (?:${commands.join('|')})(?![\\w-])`)
  for (const path of files) {
    const text = await readFile(join(REPOSITORY, path), 'utf8')
    // What NATS is told of a connection is no command to type.
    const lines = text.split('\n').filter((line) => !line.includes('connectAsOperator('))
    const long = lines.filter((line) => /node \S*packages\/cli\/(bin|src)\//.test(line) || bare.test(line))
    t.same(long, [], path)
  }
})
