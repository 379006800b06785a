/** Where compose-init writes, one folder for each container, which mounts its own and no other. */
export const CONFIG = '/config'

/** The checkout's folder `apps`, as docker-compose.yml mounts it to be read. */
export const APPS = '/apps'
