<?php
// This file is part of Moodle - https://moodle.org/
//
// Moodle is free software: you can redistribute it and/or modify
// it under the terms of the GNU General Public License as published by
// the Free Software Foundation, either version 3 of the License, or
// (at your option) any later version.
//
// Moodle is distributed in the hope that it will be useful,
// but WITHOUT ANY WARRANTY; without even the implied warranty of
// MERCHANTABILITY or FITNESS FOR A PARTICULAR PURPOSE.  See the
// GNU General Public License for more details.
//
// You should have received a copy of the GNU General Public License
// along with Moodle.  If not, see <https://www.gnu.org/licenses/>.

namespace local_integrationhub\local;

/**
 * The configuration file of the worker fleet for this site.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class worker_config {
    /**
     * The whole file.
     *
     * @param string $user the fleet's database user
     * @param string $password
     * @return string
     * @throws \moodle_exception when this site's database is none that the fleet can read, or no broker is configured
     */
    public static function text(string $user, string $password): string {
        global $CFG;
        if (!in_array($CFG->dbtype, ['mariadb', 'mysqli', 'auroramysql'], true)) {
            throw new \moodle_exception('error_dbtype', 'local_integrationhub', '', $CFG->dbtype);
        }
        $url = config::broker_url();
        if (!amqp_url::parse_list($url)) {
            throw new \moodle_exception('error_nobroker', 'local_integrationhub');
        }
        return self::section('broker', [
            'url' => $url,
            'namespace' => config::text('namespace'),
            'events_exchange' => config::text('exchange'),
            'ca_file' => config::text('brokercafile'),
        ]) . "\n" . self::section('database', self::database() + [
            'user' => $user,
            'password' => $password,
            'name' => $CFG->dbname,
            'prefix' => $CFG->prefix,
        ]);
    }

    /**
     * Where the database is.
     *
     * @return array
     */
    private static function database(): array {
        global $CFG;
        $options = (array) ($CFG->dboptions ?? []);
        $socket = $options['dbsocket'] ?? '';
        if ($socket !== '' && $socket !== false && $socket !== 0) {
            // Moodle also takes a plain true, for the place that PHP has in its configuration.
            return ['socket' => is_string($socket) && $socket[0] === '/' ? $socket : (string) ini_get('mysqli.default_socket')];
        }
        $port = (int) ($options['dbport'] ?? 0);
        return ['host' => $CFG->dbhost, 'port' => (string) ($port ?: 3306)];
    }

    /**
     * One section.
     *
     * @param string $name
     * @param string[] $values
     * @return string
     */
    private static function section(string $name, array $values): string {
        $text = "[$name]\n";
        foreach ($values as $key => $value) {
            if (preg_match('~[\r\n\0]|^\s|\s$~', $value)) {
                throw new \moodle_exception('error_config_value', 'local_integrationhub', '', "$name.$key");
            }
            $text .= $value === '' ? '' : "$key = $value\n";
        }
        return $text;
    }
}
