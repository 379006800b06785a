// Installs the workspace with the pinned pnpm. Plain JavaScript, no dependencies: skerry.mjs runs it before anything is installed.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const stampOf = (root) => join(root, 'node_modules', '.skerry-installed')

function hashOf(root) {
  return createHash('sha256')
    .update(readFileSync(join(root, 'package.json')))
    .update(readFileSync(join(root, 'pnpm-lock.yaml')))
    .digest('hex')
}

/** Whether what the lockfile says is installed. */
export function isInstalled(root) {
  const stamp = stampOf(root)
  return (
    existsSync(join(root, 'node_modules', '.bin', 'node')) &&
    existsSync(stamp) &&
    readFileSync(stamp, 'utf8') === hashOf(root)
  )
}

/**
 * Installs, and remembers that it did. Throws a line that says what went wrong.
 *
 * @param {string} root
 * @param {string[]} args of `pnpm install`
 * @param {'inherit' | 'pipe'} output `inherit` shows pnpm's on the standard error; `pipe` only when it failed, in the error
 */
export function install(root, args, output = 'inherit') {
  const pnpm = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).packageManager
  const [, version] = pnpm.split('@')
  // An own pnpm serves when it is the same major; otherwise npm runs the pinned one without installing it for good.
  const own = spawnSync('pnpm', ['--version'], { encoding: 'utf8', cwd: '/' })
  const all = ['install', ...args, '--config.confirm-modules-purge=false']
  const usesOwn = own.status === 0 && own.stdout.trim().split('.')[0] === version.split('.')[0]
  const [command, ...rest] = usesOwn
    ? ['pnpm', ...all]
    : ['npm', 'exec', '--yes', `--package=${pnpm}`, '--', 'pnpm', ...all]
  const stdio = output === 'inherit' ? ['ignore', 2, 2] : ['ignore', 'pipe', 'pipe']
  const result = spawnSync(command, rest, { cwd: root, stdio, encoding: 'utf8' })
  if (result.error !== undefined) throw new Error(`${command} could not be run: ${result.error.message}`)
  if (result.status !== 0) {
    const said =
      output === 'inherit' ? 'see above' : `${result.stdout}${result.stderr}`.trim().split('\n').slice(-8).join('\n')
    throw new Error(
      `installing failed (exit ${result.status}): ${said}; is the npm registry reachable and the disk writable?`
    )
  }
  writeFileSync(stampOf(root), hashOf(root))
}
