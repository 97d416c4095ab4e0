-- Submit filter of the tests: refuses a comment, as sites refuse jobs that break a rule of theirs.
function slurm_job_submit(job, partitions, uid)
  if job.comment ~= nil and string.find(job.comment, "forbidden") then
    slurm.log_user("This site wants jobs to name a project in --comment, see https://site.example/projects")
    return slurm.ERROR
  end
  return slurm.SUCCESS
end

function slurm_job_modify(job, old, partitions, uid)
  return slurm.SUCCESS
end

return slurm.SUCCESS
