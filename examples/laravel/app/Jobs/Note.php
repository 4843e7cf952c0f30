<?php
namespace App\Jobs;

use Illuminate\Bus\Queueable;
use Illuminate\Contracts\Queue\ShouldQueue;
use Illuminate\Foundation\Bus\Dispatchable;
use Illuminate\Queue\InteractsWithQueue;
use Illuminate\Support\Facades\DB;

class Note implements ShouldQueue
{
    use Dispatchable, InteractsWithQueue, Queueable;

    public function __construct(public string $text)
    {
    }

    public function handle()
    {
        DB::table('notes')->insert(['text' => $this->text, 'server' => getenv('SERVERPLANE_SERVER')]);
    }
}
