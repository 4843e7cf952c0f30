// Stands for what a real build does: writes what the server reads at run time.
const fs = require('node:fs')

fs.writeFileSync('built.json', JSON.stringify({ builtWith: process.version, env: process.env.NODE_ENV ?? null }))
