<?php
// Stands for the scheduled task of 2.0.0.

namespace local_integrationhub\task;

class consume_responses_task extends \core\task\scheduled_task {
    public function get_name() {
        return 'consume';
    }

    public function execute() {
    }
}
