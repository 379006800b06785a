#!/usr/bin/env node
// The first step on a machine that has only Node ≥ 20 and npm: installs with pnpm when the lockfile has changed, then hands over to the
// pinned Node 26 and the TypeScript sources. Plain JavaScript, no dependencies, since nothing is installed yet.
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { constants } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../../..')
const modules = join(root, 'node_modules')
const stamp = join(modules, '.skerry-installed')

function fail(line) {
  process.stderr.write(`skerry: ${line}\n`)
  process.exit(1)
}

if (Number(process.versions.node.split('.')[0]) < 20)
  fail(`Node ≥ 20 is needed to begin with, this is ${process.version}`)

const manifest = readFileSync(join(root, 'package.json'), 'utf8')
const pnpm = JSON.parse(manifest).packageManager
const hash = createHash('sha256')
  .update(manifest)
  .update(readFileSync(join(root, 'pnpm-lock.yaml')))
  .digest('hex')

function installed() {
  return existsSync(join(modules, '.bin', 'node')) && existsSync(stamp) && readFileSync(stamp, 'utf8') === hash
}

function install() {
  const [, version] = pnpm.split('@')
  // An own pnpm serves when it is the same major; otherwise npm runs the pinned one without installing it for good.
  const own = spawnSync('pnpm', ['--version'], { encoding: 'utf8', cwd: '/' })
  const args = ['install', '--frozen-lockfile', '--config.confirm-modules-purge=false']
  const usesOwn = own.status === 0 && own.stdout.trim().split('.')[0] === version.split('.')[0]
  const command = usesOwn ? ['pnpm', args] : ['npm', ['exec', '--yes', `--package=${pnpm}`, '--', 'pnpm', ...args]]
  process.stderr.write(`skerry: installing packages with ${pnpm} (once, until the lockfile changes)\n`)
  const result = spawnSync(command[0], command[1], { cwd: root, stdio: ['ignore', 2, 2] })
  if (result.error !== undefined) fail(`${command[0]} could not be run: ${result.error.message}`)
  if (result.status !== 0)
    fail(`installing failed (exit ${result.status}): see above; is the npm registry reachable and the disk writable?`)
  try {
    writeFileSync(stamp, hash)
  } catch (error) {
    fail(`${stamp} cannot be written: ${error.message}`)
  }
}

if (!installed()) install()

const node = join(modules, '.bin', 'node')
const child = spawn(node, [join(root, 'packages/cli/src/main.ts'), ...process.argv.slice(2)], {
  // The channel tells the child when this process ends, in whatever way.
  stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
  env: { ...process.env, PATH: `${join(modules, '.bin')}:${process.env.PATH ?? ''}` }
})
// Ctrl-C reaches the child by the terminal; a signal to this process alone is passed on. Either way the child decides when to end.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
  process.on(signal, () => (signal !== 'SIGINT' || !process.stdin.isTTY ? child.kill(signal) : undefined))
child.on('error', (error) => fail(`${node} could not be run: ${error.message}`))
child.on('exit', (code, signal) => process.exit(signal === null ? code : 128 + constants.signals[signal]))
