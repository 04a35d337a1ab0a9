// Node-RED without its editor: the flow is in a file, and nothing is asked of anybody outside.
module.exports = {
  uiHost: '127.0.0.1',
  uiPort: Number(process.env.PEER_PORT),
  httpAdminRoot: false,
  flowFile: 'flow.json',
  credentialSecret: false,
  telemetry: { enabled: false, updateNotification: false },
  externalModules: { palette: { allowInstall: false }, modules: { allowInstall: false } },
  // So that the flow can verify a signature.
  functionGlobalContext: { crypto: require('crypto') },
  logging: { console: { level: 'warn' } },
};
