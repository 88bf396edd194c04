use neuralsmpl::{pack::Pack, pipeline::*, fit::*, frame::*, eval::*, texture::EnergyKind, energy::Weights};
use std::path::Path;
fn main(){
 let pack=Pack::load(Path::new("models/person")).unwrap();
 let base=pack.manifest.energy.clone();
 let mut cfgs: Vec<(String, neuralsmpl::pack::EnergySettings, bool)>=vec![];
 for a in std::env::args().skip(1) { // e.g. lik=5,mask=1,depth=.3,temp=.1,vis=.9
   let mut c=base.clone(); let mut hyp=true; let w: &mut Weights=&mut c.weights;
   for kv in a.split(',').filter(|x|x.contains('=')) { let (k,v)=kv.split_once('=').unwrap(); let v:f32=v.parse().unwrap(); match k {"lik"=>w.likelihood=v,"mask"=>w.mask=v,"kp"=>w.keypoints=v,"depth"=>w.depth=v,"prior"=>w.prior=v,"lim"=>w.limits=v,"betas"=>w.betas=v,"temp"=>c.temperature=v,"vis"=>c.visible_prior=v,"mvis"=>c.mask_visible_prior=v,"sig"=>c.keypoint_sigma_px=v,"dsig"=>c.depth_sigma_m=v,"hyp"=>hyp=v>0.0,_=>panic!("{k}")} }
   cfgs.push((a,c,hyp));
 }
 let mut e=Estimator::new(pack,EstimateOptions{schedule:Schedule::new(Solver::GaussNewton,30),energy:EnergyKind::Paper,box_px:None,max_persons:1,hypotheses:true}).unwrap();
 let mut res=vec![[0.0f64;4];cfgs.len()]; let mut st=[0.0f64;4];
 for (ci,cl) in ["p2s_single_cam1","p2s_single_cam2","p2s_multi_cam1","p2s_multi_cam2"].iter().enumerate() {
  let clip=Path::new("/tmp/w/real_frames").join(cl); let fr=read_manifest(&clip.join("manifest.jsonl")).unwrap();
  for f in &fr { let im=load_image(&clip.join(&f.image)).unwrap(); let k=f.camera().unwrap(); e.options_mut().box_px=f.box_px;
   let n=e.locate(&im,&k).unwrap(); if n==0 {continue;}
   let truth: Vec<_>=LIMBS.iter().map(|l| f.joint(l.0).unwrap()).collect();
   let pick=|p:&[glam::Vec3]| pa_mpjpe(&LIMBS.iter().map(|l|p[l.1]).collect::<Vec<_>>(),&truth)/fr.len() as f64;
   for (i,(_,c,h)) in cfgs.iter().enumerate() { e.model_mut().settings=c.clone(); e.options_mut().hypotheses=*h;
     let p=e.fit(0,&im,&k,&mut Start::Landmarks).unwrap().unwrap(); res[i][ci]+=pick(&p.keypoints); if i==0 {st[ci]+=pick(&p.start_keypoints);} }
  }}
 println!("start {st:.1?}"); for (i,c) in cfgs.iter().enumerate() { println!("{:40} {:.1?} mean {:.1}",c.0,res[i],res[i].iter().sum::<f64>()/4.0); }
}
