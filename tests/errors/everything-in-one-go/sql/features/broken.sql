-- Broken.
select from where
