#!/usr/bin/env node
// The first step on a machine that has only Node ≥ 20 and npm: installs with pnpm when the lockfile has changed, then hands over to the
// pinned Node 26 and the TypeScript sources. Plain JavaScript, no dependencies, since nothing is installed yet.
import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { install, isInstalled } from './install.mjs'

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../../..')
const modules = join(root, 'node_modules')

function fail(line) {
  process.stderr.write(`skerry: ${line}\n`)
  process.exit(1)
}

if (Number(process.versions.node.split('.')[0]) < 20)
  fail(`Node ≥ 20 is needed to begin with, this is ${process.version}`)

if (!isInstalled(root)) {
  process.stderr.write('skerry: installing packages (once, until the lockfile changes)\n')
  try {
    install(root, ['--frozen-lockfile'])
  } catch (error) {
    fail(error.message)
  }
}

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
