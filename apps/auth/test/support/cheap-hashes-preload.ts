import { cheapHashes } from './cheap-hashes.ts'

// Loaded by a process of a test before all else (`--import`): its hashes are cheap for as long as it lives.
cheapHashes({ teardown() {} })
