// Most test files start no store and have no driver of their own: what it takes for that is loaded by those who do. It would be a fifth of
// what it takes to start a test file.

export const loadStores = () => import('@skerry/stores')
export const loadMongo = () => import('mongodb')
