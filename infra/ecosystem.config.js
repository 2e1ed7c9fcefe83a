// pm2 start infra/ecosystem.config.js
//
// For machines that are run by pm2 anyway; systemd knows more about a service (`lamplighter.service`, beside this file).
module.exports = {
  apps: [
    {
      name: "lamplighter",
      script: "/usr/local/bin/lamplighter",
      args: "serve --config /etc/lamplighter/lamplighter.toml --data /var/lib/lamplighter",
      interpreter: "none",
      exec_mode: "fork",
      instances: 1, // a second one would find the data file locked
      autorestart: true,
      restart_delay: 5000,
      kill_timeout: 45000, // a stop finishes the restarts that are under way; pm2 sends SIGINT, which is as good
      env: { LOG_FORMAT: "json" },
    },
  ],
};
