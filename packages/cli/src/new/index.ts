import { StartError } from '@skerry/stores'
import { REPOSITORY } from '../repository.ts'
import { newService } from './service.ts'

export type NewOptions = { entity?: string }

const say = (line: string) => void process.stdout.write(`${line}\n`)

/** `skerry new KIND …`: writes what is asked for into this checkout. Resolves with the exit code. */
export async function runNew([kind, ...rest]: string[], options: NewOptions): Promise<number> {
  const { entity } = options
  switch (kind) {
    case 'service':
      refuseMore(rest, 1)
      await newService({ repo: REPOSITORY, name: rest[0], say, ...(entity === undefined ? {} : { entity }) })
      return 0
    default:
      throw new StartError(
        `${kind === undefined ? 'say what is to be written' : `there is no "new ${kind}"`}: skerry new service NAME. See: skerry help new`
      )
  }
}

function refuseMore(args: readonly string[], count: number): void {
  if (args.length > count) throw new StartError(`"${args[count]}" is one argument too many. See: skerry help new`)
}
