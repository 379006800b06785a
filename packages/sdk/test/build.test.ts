import { execFile } from 'node:child_process'
import { cp, mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { serve } from './server.ts'

const execute = promisify(execFile)
const SDK = join(import.meta.dirname, '..')
const TOOLS = join(SDK, '../../node_modules')
const PATH = `${join(TOOLS, '.bin')}:${process.env.PATH}`
/** Runs a command as anybody would: tap puts its own loader into NODE_OPTIONS of every child. */
const run = (cwd: string, command: string, ...args: string[]) =>
  execute('env', ['-u', 'NODE_OPTIONS', `PATH=${PATH}`, command, ...args], { cwd }).catch((error) =>
    Promise.reject(new Error(`${command} failed: ${error.stdout}${error.stderr}`))
  )

/** One checker: several would each look through the types of Node and of the platform. */
const FRUGAL = ['--checkers', '1']

const COMPILER = {
  ...{ strict: true, noUncheckedIndexedAccess: true, skipLibCheck: false, noEmit: true },
  ...{ module: 'nodenext', target: 'es2022', typeRoots: [join(TOOLS, '@types')], types: ['node'] }
}

/** A program of somebody who has installed the package. */
const APP = `
import { createClient, SkerryApiError } from '@skerry/sdk'

const client = createClient({ baseUrl: process.argv[2]! })
const page = await client.posts.list({ limit: 2 }, { fields: ['id'] })
// @ts-expect-error posts have no such member
page.items[0]?.nothing
const refused = await client.posts.create({ text: '' }).catch((error: unknown) => error)
console.log(JSON.stringify([page, refused instanceof SkerryApiError && refused.code]))
`

t.test('what is published stands alone: it is typed, and runs', async (t) => {
  await run(SDK, 'npm', 'run', 'build', '--silent')
  // As npm lays it out, without the workspace around it.
  const folder = t.testdir({
    'app.ts': APP,
    'package.json': '{ "type": "module" }',
    'tsconfig.json': JSON.stringify({ compilerOptions: COMPILER, files: ['app.ts'] })
  })
  const installed = join(folder, 'node_modules/@skerry/sdk')
  await mkdir(installed, { recursive: true })
  await cp(join(SDK, 'dist'), join(installed, 'dist'), { recursive: true })
  const { publishConfig, ...manifest } = JSON.parse(await readFile(join(SDK, 'package.json'), 'utf8'))
  await writeFile(join(installed, 'package.json'), JSON.stringify({ ...manifest, ...publishConfig }))
  for (const name of Object.keys(manifest.dependencies))
    await symlink(join(SDK, 'node_modules', name), join(folder, 'node_modules', name))

  await run(folder, 'tsc', ...FRUGAL)

  const server = await serve(t, ({ method }) =>
    method === 'GET'
      ? { status: 200, body: { items: [{ id: 'a' }], nextCursor: null } }
      : { status: 400, body: { type: 'x', title: 'x', status: 400, code: 'BAD_REQUEST' } }
  )
  const { stdout } = await run(folder, process.execPath, 'app.ts', server.url)
  t.same(JSON.parse(stdout), [{ items: [{ id: 'a' }], nextCursor: null }, 'BAD_REQUEST'])
  t.same(
    server.seen.map(({ method, path, query }) => `${method} ${path} ${query}`),
    ['GET /v1/posts fields=id&limit=2', 'POST /v1/posts ']
  )
})
